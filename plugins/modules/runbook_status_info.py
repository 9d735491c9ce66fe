from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._status.info import StatusInfo
def main(): run(StatusInfo)
if __name__ == "__main__": main()
