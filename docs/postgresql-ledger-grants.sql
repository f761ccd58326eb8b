-- What the role of a broker needs in the schema of the ledger once that schema is up to date. It owns nothing, changes no schema, and can delete
-- neither secrets, rotations, versions, tokens nor what is known of KEKs. Run it as the owner of the schema, after the first start and after every
-- upgrade that changed the schema; put the name of your role for keyturn_broker.
grant usage on schema keyturn_ledger to keyturn_broker;
grant select on keyturn_ledger.migrations to keyturn_broker;
grant select, insert on keyturn_ledger.operations to keyturn_broker;
grant select, update on keyturn_ledger.ledger to keyturn_broker;
grant select, insert, update on keyturn_ledger.secrets, keyturn_ledger.rotations, keyturn_ledger.versions, keyturn_ledger.revocations to keyturn_broker;
grant select, insert, update on keyturn_ledger.operation_items, keyturn_ledger.tokens, keyturn_ledger.sealed_records to keyturn_broker;
grant select, insert, update on keyturn_ledger.keks, keyturn_ledger.kek_rows, keyturn_ledger.kek_lives, keyturn_ledger.campaigns to keyturn_broker;
grant select, insert, delete on keyturn_ledger.outbox to keyturn_broker;
grant select, insert, update, delete on keyturn_ledger.writes, keyturn_ledger.answers, keyturn_ledger.instances, keyturn_ledger.backups to keyturn_broker;
grant select, insert, update, delete on keyturn_ledger.passes, keyturn_ledger.pass_slices, keyturn_ledger.pass_failures to keyturn_broker;
