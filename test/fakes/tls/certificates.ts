import { readFileSync } from 'node:fs'

const pem = (name: string) => readFileSync(new URL(`./test-only-${name}.pem`, import.meta.url), 'utf8')

/**
 * A server's certificate for 127.0.0.1, ::1 and localhost, a client's, and the authority of both, for fakes on the loopback: Node can make keys and no
 * certificates. They protect nothing: the keys are in the repository, and the authority's own was thrown away. Made with OpenSSL 3, valid for 100 years.
 */
export const testCertificates = {
  ca: pem('ca'),
  server: { cert: pem('server'), key: pem('server.key') },
  client: { cert: pem('client'), key: pem('client.key') },
} as const
