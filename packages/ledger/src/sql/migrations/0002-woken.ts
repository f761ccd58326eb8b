import type { Migration } from '@keyturn/sql'

/** A wish that comes while a holder works must survive the holder's own idea of when to look again. */
export const woken: Migration = {
  number: 2,
  name: 'woken',
  statements: ({ integer }) => [`alter table rotations add column woken ${integer} not null default 0 check (woken in (0, 1))`],
}
