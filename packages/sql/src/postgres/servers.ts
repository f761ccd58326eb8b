import pg from 'pg'
import type { Host, Hosts } from './hosts.ts'

const readOnly = '25006'

/**
 * The servers of an address, of which one takes writes. New connections go to the one that was found last; where it is gone, or has become a
 * standby, to the next.
 */
export class Servers {
  readonly #hosts: Hosts
  #at = 0

  constructor(hosts: Hosts) {
    this.#hosts = hosts
  }

  /** What a pool needs to connect so. */
  get ofPool(): { readonly Client: typeof pg.Client; readonly onConnect: (client: pg.ClientBase) => Promise<void> } {
    const current = () => this.#host
    class ClientOfServer extends pg.Client {
      constructor(config: pg.ClientConfig) {
        // a pool hides the password from those who copy its settings
        super({ ...config, password: config.password, ...current() })
      }
    }
    return { Client: ClientOfServer, onConnect: mustTakeWrites }
  }

  /** What `connect` answers for the first server that it reaches; the last one's error when it reaches none. */
  async first<T>(connect: () => Promise<T>): Promise<T> {
    for (let left = this.#hosts.length - 1; ; left -= 1) {
      const tried = this.#at
      try {
        return await connect()
      } catch (error) {
        // somebody else may have gone on already
        if (tried === this.#at) this.#at = (tried + 1) % this.#hosts.length
        if (left === 0) throw error
      }
    }
  }

  get #host(): Host {
    return this.#hosts[this.#at] ?? this.#hosts[0]
  }
}

/** As libpq asks for `target_session_attrs=read-write`. */
async function mustTakeWrites(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ transaction_read_only: string }>('show transaction_read_only')
  if (rows[0]?.transaction_read_only !== 'off') throw Object.assign(new Error('a standby'), { code: readOnly })
}
