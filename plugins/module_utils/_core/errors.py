# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception family of the collection (private to ops.runbooks).

Low layers raise :class:`RunbookError`; only the runner turns it into a failed task. An error is one sentence for a
person (what was attempted, on what, why, what to do) and a code for a machine. Each code is registered here with its
meaning, and ``docs/failure_codes.md`` is generated from this table, so that an unregistered code cannot leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Every stable ``failure.code`` and what it means. A code is never renamed or reused; new ones are appended.
FAILURE_CODES: dict[str, str] = {
    # input
    "invalid_parameter": "A parameter, or a combination of parameters, is not usable as given.",
    "connection_ambiguous": "The connection was described in two ways at once.",
    "connection_empty": "A connection variable was given but is empty.",
    "connection_missing": "No connection was described and none could be found in the environment.",
    # the run
    "controller_gone": "The ansible process that started the module has ended, so the module did too.",
    "internal_error": "The collection met a situation that it does not handle; nothing is known about the cause.",
    "leaking_settings": "A setting of ansible would keep or print the secrets that the module was given.",
    "library_missing": "A Python library that the module needs is not installed for the interpreter that runs it.",
    "lock_held": "Another run holds the lock of this resource.",
    "lock_lost": "The lock was taken over while the run was working; the run stopped before its next effect.",
    "drill_overdue": "No drill has proven a backup like the newest for longer than runbooks_drill_max_age allows.",
    "not_proven": "A drill could not prove all of a backup, because its server lacks something that the backup needs.",
    "not_ready": "A runbook is not ready to do its work; preflight says why.",
    "python_too_old": "The Python that runs the module is older than the collection supports.",
    "rpo_exceeded": "The newest good backup is older than is allowed, or there is none, or nobody can tell.",
    "run_aborted": "The run was told to stop (signal or timeout) and stopped before its next effect.",
    "verify_failed": "An app does not work, or does not keep its objectives.",
    "verify_inconclusive": "Too little could be measured to say whether an app keeps its objectives.",
    "run_refused": "A playbook refused to go on, for an input, a setting of the inventory, or what it found.",
    # the store
    "document_too_new": "A document in the store was written by a newer release of the collection.",
    "object_corrupt": "An object in the store is not what its manifest says it is.",
    "object_exists": "An object that may only be new has been made by somebody else.",
    "object_missing": "An object that should be in the store is not there.",
    "store_binding_mismatch": "The name is bound to another server or database than the one that was reached.",
    "store_credentials": "The credentials for the store are missing, incomplete, expired or unknown to it.",
    "store_denied": "The store refused an action for lack of permission.",
    "store_failed": "The store answered with an error that is not one of the others.",
    "store_full": "The store has no space left.",
    "store_missing": "The bucket or directory of the store does not exist.",
    "store_not_conditional": "The store does not honour conditional writes, which locks need.",
    "store_unreachable": "The store could not be reached.",
    # encryption
    "age_identity_missing": "What is to be read is encrypted with age, and no identity was given.",
    "age_identity_unusable": "An age identity is not there, no identity, or readable by others.",
    "age_identity_wrong": "None of the age identities that were given opens what is encrypted.",
    "encryption_failed": "The library that encrypts with age failed in the middle of its work.",
    # files
    "source_changed": "A file changed while it was being read.",
    "source_missing": "A file that was to be read is not there.",
    "source_unusable": "A file cannot be read, or is of a kind that cannot be used for this.",
    # PostgreSQL
    "backup_not_found": "No backup answers the request.",
    "backup_protected": "The backup may not be deleted.",
    "backup_shrunk": "The database holds much less than its last good backup; the new one does not count.",
    "backup_unusable": "The backup exists but cannot be used for this.",
    "command_refused": "A command is not one of those that a runbook runs.",
    "confirmation_missing": "The work is dangerous on a protected environment, and was not confirmed by its name.",
    "database_changing": "Tables kept changing while the backup tried to lock them.",
    "database_missing": "The database does not exist on the server that was reached.",
    "disk_free_unknown": "The free space of a protected server could not be read and was not stated.",
    "disk_too_small": "The server has less free space than the restore needs.",
    "drill_on_live_server": "A drill would have gone to the server that the backup was taken from.",
    "drill_server_failed": "The private server of a drill could not be made or started.",
    "dump_failed": "pg_dump ended with an error.",
    "extension_missing": "The target server does not offer an extension that the backup needs.",
    "in_place_refused": "The live database cannot be restored in place; failure.refused says what stands in the way.",
    "locale_missing": "The target server does not have the locale or the locale provider that the backup needs.",
    "login_denied": "The server refused the login.",
    "migration_drift": "Migrations were changed after they had been applied.",
    "migration_failed": "The server refused a statement of a migration.",
    "migration_missing": "No migration answers to that name.",
    "migration_unfinished": "A run stopped within a migration outside of a transaction; see what became of it.",
    "migration_unusable": "A migration cannot be run, or taken back, as it is; failure.refused has all of them.",
    "outcome_unknown": "Whether the last step of an earlier run became final is not known, or not yet.",
    "pooler_refused": "The connection goes through a transaction pooler, which cannot carry a backup.",
    "previous_missing": "The database that a swap put aside is no longer there.",
    "privilege_missing": "The role lacks a right that the work needs.",
    "restore_failed": "pg_restore ended with an error.",
    "restore_mismatch": "The restored database differs from the manifest.",
    "role_missing": "Roles that the backup names do not exist on the target server.",
    "row_security": "Row level security would hide rows from the role that takes the backup.",
    "server_failed": "The database server answered with an error that is not one of the others.",
    "server_too_old": "The target server is older than the server that the backup came from.",
    "server_unreachable": "The database server could not be reached.",
    "sessions_remain": "Sessions in the database did not end, so that it could not be renamed.",
    "swap_refused": "The live database cannot be replaced by renaming; failure.refused says what stands in the way.",
    "table_missing": "The backup does not have a table that was asked for.",
    "target_occupied": "The target database exists already.",
    "timed_out": "The work did not end within its time limit.",
    "tool_failed": "A command line tool could not be started or ended with an error.",
    "tool_missing": "A command line tool of the right version was not found.",
    "verification_failed": "A restored backup did not pass a check: a constraint, amcheck or an assertion.",
    "adoption_refused": "A group cannot take the place of a login role; failure.refused says what stands in the way.",
    "login_differs": "A login works, but acts as another role than it should, or lacks rights.",
    "login_unproven": "The server did not ask for the password, so that a login proves nothing about it.",
    "pooler_stale": "A pooler refuses a password that its server takes already.",
    "role_in_use": "A role has sessions, or may still log in, so that the work would stop somebody.",
    "role_needed": "A role owns something or holds rights, so that it cannot be dropped.",
    "role_refused": "A role may not be changed here: the run's own, a superuser's, a platform's, or no group.",
    # services
    "plan_limit": "The plan or the billing of an account does not allow the work.",
    "rate_limited": "A service takes no more requests for longer than the run may wait.",
    "service_denied": "A service does not know the credentials, or they may not do this.",
    "service_failed": "A service answered with an error that is not one of the others.",
    "service_unreachable": "A service could not be reached, or its answer was lost.",
    # GitHub
    "commit_missing": "The repository has no such commit, or what was given is no commit.",
    "repository_missing": "The repository does not exist, was renamed, or the token may not see it.",
    "scope_missing": "The environment or organization of a secret does not exist, or the token may not see it.",
    # secrets
    "rotation_overdue": "A secret has been due for longer than secrets_overdue_hours allows.",
    "rotation_overtaken": "Another run has continued the same rotation; this one stopped before its next effect.",
    "rotation_refused": "A rotation, or a step of it, was refused; the failure says why.",
    "secret_refused": "A new value of a secret does not work; nobody was given it.",
    "secret_unreadable": "A value of a secret cannot be read from where it is kept.",
    "secret_conflict": "A version of a secret has another value, or somebody else works on the secret.",
    "secret_missing": "There is no such secret, or no such version of it.",
    "values_unencrypted": "Values of a secret would lie where nothing encrypts them.",
    "secret_unknown": "The value of a secret cannot be read back, so that nobody can compare it.",
    "plugin_failed": "A provider or destination of one's own has failed, or gave what it may not give.",
    "plugin_unusable": "A provider or destination of one's own cannot be found, or is not whole.",
    "secrets_differ": "Secrets are not what they were set to.",
    # access keys
    "access_key_in_use": "An access key is active, or was used lately, so that it may not go.",
    "access_key_limit": "A user has as many access keys as there may be; none of them is deleted to make room.",
    "access_key_missing": "The user, or the user's access key, does not exist.",
    "access_key_unproven": "The service does not accept an access key.",
    "access_key_unusable": "The access key in its place cannot be used.",
    "destination_unusable": "A place that a secret is to go to cannot be read or written.",
    "api_key_protected": "Others look for the API key by its name, so that it may not go.",
    "api_key_refused": "A project does not accept an API key.",
    "signing_key_refused": "A signing key cannot be brought into a state, or not yet.",
    "own_credential": "The credential is the one that the run itself works with.",
    # releases
    "approval_refused": "Whoever asked for a release cannot approve it as well.",
    # Vercel
    "build_failed": "A build of a deployment failed, was cancelled or is blocked, or its domains were not assigned.",
    "build_running": "The service still builds a deployment.",
    "deployment_differs": "A deployment is ready, and is not what was asked for.",
    "repository_unlinked": "The project is connected with no repository that the service can build from.",
    "variable_owned": "An environment variable belongs to an integration, or to the service itself.",
    "variable_unknown": "The value of an environment variable cannot be read back, so that nobody can compare it.",
    "variables_differ": "Environment variables are not what they were set to.",
    "variables_hidden": "The token does not see all environment variables, so that the work could do harm.",
    "auto_assign_differs": "Auto-assign of production domains is not what it was set to.",
    "deployment_forbidden": "The deployment may not serve again, for a reason that was given.",
    "secret_unusable": "What was restored does not accept the password that the app has, so that it cannot log in.",
    "deployment_outdated": "The deployment was built before something that it needs was taken away, such as a secret.",
    "deployment_missing": "No deployment answers the request.",
    "deployment_unusable": "The deployment exists but cannot be used for this.",
    "domain_differs": "A production domain serves another deployment than production is said to be.",
    "job_failed": "A promote or rollback ended without success on the side of the service.",
    "job_running": "The service still works on a promote or rollback.",
    "project_missing": "The project does not exist, or the token may not see it.",
    "approval_missing": "Nobody else has approved exactly what was about to be done.",
    "checks_not_green": "The checks of a commit are not green.",
    "plan_changed": "What is about to be done is not what was planned, because something has happened in between.",
    "release_bad": "The release is on record as bad, or was rolled back; it is not released again without a reason.",
    "release_missing": "No release on record answers the request.",
    "release_rolled_back": "The gate of a release failed, and what served before serves again.",
    "release_stopped": "A release was not continued, because another app of it failed.",
    "rollback_target_missing": "Nothing could take the place of the release should its gate fail.",
    "rolling_release_active": "A rolling release is active or configured, which the work would disturb or begin.",
    "smoke_failed": "A build does not answer as it should at its own address; it was not promoted.",
    "ungated_pushes": "Pushes take the production domains by themselves, so that no gate could hold them back.",
    "variables_missing": "Environment variables that a release needs are not set.",
    "window_closed": "The work may not begin at this time.",
}


@dataclass(slots=True)
class RunbookError(Exception):
    """A failure that a person can act upon.

    ``attempted`` completes "could not ..." (``back up the database``); ``object`` names what it was done to, with host
    and database where there is one; ``reason`` says why, ``remedy`` what to do now. All four are redacted by the
    runner, yet none may be built from a secret. ``details`` goes into ``failure`` beside them.
    """

    code: str
    attempted: str
    object: str
    reason: str
    remedy: str
    details: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.code not in FAILURE_CODES:
            raise ValueError(f"failure code {self.code!r} is not registered")
        # Not super(): a slotted dataclass is a new class, which zero-argument super() does not know.
        Exception.__init__(self, self.message)

    @property
    def message(self) -> str:
        """The one sentence that a person reads."""
        return f"Could not {self.attempted} ({self.object}): {self.reason.rstrip('.')}. {self.remedy}"

    def as_failure(self) -> dict[str, Any]:
        """The ``failure`` object of a task result."""
        failure: dict[str, Any] = {
            "code": self.code,
            "attempted": self.attempted,
            "object": self.object,
            "remedy": self.remedy,
        }
        return {**(self.details or {}), **failure}
