/** One server of an address: a name, an IP address, or the folder of a socket. */
export interface Host {
  readonly host: string
  readonly port: number
}

export type Hosts = readonly [Host, ...Host[]]

const defaultPort = 5432

/** The hosts of a URL, comma by comma: of its authority, or of its parameters `host` and `port`. Undefined when one of them is none. */
export function hostsOf(authority: string, host: string | undefined, port: string | undefined): Hosts | undefined {
  const names = (host ?? authority).split(',').map(name => (host === undefined ? name : bracketed(name)))
  const ports = port?.split(',') ?? []
  if (ports.length > 1 && ports.length !== names.length) return undefined
  const hosts: Host[] = []
  for (const [at, name] of names.entries()) {
    const found = hostOf(name, ports.length === 1 ? ports[0] : ports[at])
    if (found === undefined) return undefined
    hosts.push(found)
  }
  const [first, ...others] = hosts
  return first === undefined ? undefined : [first, ...others]
}

// in a parameter an IPv6 address stands without brackets
const bracketed = (host: string): string => (/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(host) ? `[${host}]` : host)

function hostOf(text: string, port: string | undefined): Host | undefined {
  const [, name, own] = /^(\/.*|\[[0-9a-f:.]+\]|[^:[\]\s]*)(?::(\d+))?$/i.exec(text) ?? []
  if (name === undefined) return undefined
  const number = Number(port ?? own ?? defaultPort)
  if (!Number.isSafeInteger(number) || number < 1 || number > 65_535) return undefined
  return { host: decodeURIComponent(name).replace(/^\[|\]$/g, '') || 'localhost', port: number }
}
