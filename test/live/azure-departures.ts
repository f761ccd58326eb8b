import { BrokerError, SecretValue, type Store, type StorePath } from '@keyturn/core'
import type { AzureVault } from '../fakes/azure-vault.ts'

/** What an emulator does not do as Azure does: asked of our own fake in the same run, and counted for no server. */
export interface AzureDeparture {
  readonly check: string
  /** What the emulator does, as it was seen. */
  readonly why: string
  /** Fails by throwing. */
  run(fake: AzureVault, store: Store): Promise<void>
}

const at = (path: string) => path as StorePath
const text = (value: string) => SecretValue.text(value)
const intent = () => ({ idempotencyKey: crypto.randomUUID() })

export const azureDepartures: readonly AzureDeparture[] = [
  {
    check: 'takes OrdersDb and ordersdb for one name, and refuses the other spelling',
    why: 'the emulator keeps them as two secrets',
    async run(_, store) {
      await store.write(at('OrdersDb'), text('one'), intent())
      await mustFail(store.write(at('ordersdb'), text('two'), intent()), 'invalid_argument')
      await mustFail(store.read(at('ordersdb')), 'invalid_argument')
    },
  },
  {
    check: 'tells disabled from denied by the inner code of a 403',
    why: 'the emulator says Forbidden of both, without innererror',
    async run(fake, store) {
      fake.secrets.disable('x', fake.secrets.put('x', 'one'))
      await mustFail(store.read(at('x')), 'precondition_failed')
      fake.rights.set('app', ['list'])
      await mustFail(store.read(at('x')), 'permission_denied')
    },
  },
  {
    check: 'serves a version outside its dates',
    why: 'the emulator answers 403',
    async run(fake, store) {
      fake.secrets.put('x', 'one', { exp: 1_000_000_000 })
      await mustRead(store, 'x', 'one')
    },
  },
  {
    check: 'waits for a deletion and a recovery, and for the 409s meanwhile',
    why: 'the emulator deletes and recovers at once',
    async run(fake, store) {
      Object.assign(fake.secrets, { deleteMs: 200, recoverMs: 200 })
      await store.write(at('x'), text('one'), intent())
      fake.secrets.delete('x')
      await store.write(at('x'), text('two'), intent())
      await store.delete(at('x'), intent())
      await store.restore(at('x'))
      await mustRead(store, 'x', 'two')
    },
  },
  {
    check: 'stays within the limits of names, values and tags that the service sets',
    why: 'the emulator sets none: it takes 2,000,000 characters, names of 128 and 16 tags',
    async run(fake, store) {
      const path = 'n'.repeat(127)
      fake.secrets.put(path, 'one', { tags: Object.fromEntries(Array.from({ length: 14 }, (_, index) => [`t${index}`, 'v'])) })
      await store.write(at(path), text('é'.repeat(12_800)), intent())
      await mustRead(store, path, 'é'.repeat(12_800))
    },
  },
  {
    check: 'disables and enables with the right to set',
    why: 'the emulator wants secrets/update for it',
    async run(fake, store) {
      const { version } = await store.write(at('x'), text('one'), intent())
      await store.write(at('x'), text('two'), intent())
      fake.rights.set('app', ['list', 'set'])
      await store.disable(at('x'), version)
      await store.enable(at('x'), version)
    },
  },
]

async function mustRead(store: Store, path: string, value: string): Promise<void> {
  if (!(await store.read(at(path))).value.equals(text(value))) throw new Error(`${path} holds another value`)
}

async function mustFail(call: Promise<unknown>, code: string): Promise<void> {
  const ended = await call.then(() => 'done').catch((error: unknown) => (error instanceof BrokerError ? error.code : 'no BrokerError'))
  if (ended !== code) throw new Error(`it ended as ${ended}, not as ${code}`)
}
