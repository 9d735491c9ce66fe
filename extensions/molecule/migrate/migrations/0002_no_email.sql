-- runbooks: phase=contract
ALTER TABLE account DROP COLUMN email;
