import { Command } from 'commander'
import type { Setting } from '../command.ts'
import { compromise } from './kek/compromise.ts'
import { destroy } from './kek/destroy.ts'
import { make } from './kek/new.ts'
import { promote } from './kek/promote.ts'
import { reencrypt } from './kek/reencrypt.ts'
import { retire } from './kek/retire.ts'
import { rewrap } from './kek/rewrap.ts'
import { status } from './kek/status.ts'

/** `kek status|new|promote|rewrap|reencrypt|retire|compromise|destroy`. */
export function kek(setting: Setting): Command {
  const group = new Command('kek').description('The key-encryption keys: which there are, and how one is replaced')
  for (const each of [status, make, promote, rewrap, reencrypt, retire, compromise, destroy]) group.addCommand(each(setting))
  return group
}
