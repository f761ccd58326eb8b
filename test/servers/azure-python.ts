import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { AzureGiven } from './azure-given.ts'

/** Azure's own client of another language, in one process from start to stop. */
export interface AzurePython {
  /** Of `azure-keyvault-secrets`. */
  readonly version: string
  /** One call; wait for its answer before the next. An error of the SDK answers `{error: its class, status}`; any other ends the process, and throws here. */
  ask(verb: string, input?: object): Promise<Readonly<Record<string, unknown>>>
  stop(): Promise<void>
}

// -X utf8 is for what it reads; what it prints is ASCII, for a line is no line any more where a value has U+2028
const script = `
import importlib.metadata, json, sys
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

given = json.loads(sys.stdin.readline())
authority, ca = given.get("authority"), given.get("ca")
tls = {"connection_verify": ca} if ca else {}
named = {"authority": authority, "disable_instance_discovery": True} if authority else {}
credential = ClientSecretCredential(given["tenant"], given["clientId"], given["clientSecret"], **named, **tls)
client = SecretClient(given["vault"], credential, verify_challenge_resource=authority is None, **tls)

def properties(of):
    return {"name": of.name, "version": of.version, "enabled": of.enabled, "tags": of.tags, "contentType": of.content_type, "createdAt": of.created_on.isoformat()}
def secret(of):
    return {"value": of.value, **properties(of.properties)}
def set_secret(name, value, **more):
    return secret(client.set_secret(name, value, **more))
def update(name, version, **more):
    return properties(client.update_secret_properties(name, version, **more))
def delete(name):
    client.begin_delete_secret(name).wait()
    return {}
def recover(name):
    client.begin_recover_deleted_secret(name).wait()
    return {}
def deleted(name):
    found = client.get_deleted_secret(name)
    return {"name": found.name, "deletedAt": found.deleted_date.isoformat()}
def purge(name):
    client.purge_deleted_secret(name)
    return {}
verbs = {
    "version": lambda: {"version": importlib.metadata.version("azure-keyvault-secrets")},
    "get": lambda name, version=None: secret(client.get_secret(name, version)),
    "set": set_secret,
    "update": update,
    "versions": lambda name: {"versions": [properties(each) for each in client.list_properties_of_secret_versions(name)]},
    "names": lambda: {"names": [each.name for each in client.list_properties_of_secrets()]},
    "deletedNames": lambda: {"names": [each.name for each in client.list_deleted_secrets()]},
    "delete": delete,
    "recover": recover,
    "deleted": deleted,
    "purge": purge,
}
for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = verbs[call["verb"]](**call["input"])
    except HttpResponseError as error:
        answer = {"error": type(error).__name__, "status": error.status_code}
    print(json.dumps(answer), flush=True)
`

/** Starts it against a vault. */
export async function openAzurePython(python: string, { ca, ...given }: AzureGiven): Promise<AzurePython> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-python-'))
  const file = join(folder, 'ca.pem')
  if (ca !== undefined) await writeFile(file, ca)
  const child = spawn(python, ['-X', 'utf8', '-c', script], { env: { PATH: process.env.PATH, HOME: folder }, stdio: 'pipe' })
  const closed = new Promise(resolve => child.once('close', resolve))
  let said = ''
  child.on('error', error => {
    said += error.message
  })
  child.stderr.on('data', (part: Buffer) => {
    said += part.toString()
  })
  // one that has gone is told by the end of its lines
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const send = (what: object) => child.stdin.write(`${JSON.stringify(what)}\n`)

  async function stop() {
    child.kill()
    await closed
    await rm(folder, { recursive: true, force: true })
  }

  async function ask(verb: string, input: object = {}) {
    send({ verb, input })
    const { value, done } = await lines.next()
    if (done !== true) return JSON.parse(value) as Record<string, unknown> // what json.dumps of a dict prints
    await stop()
    throw new Error(`the other client ended: ${said.trim().split('\n').at(-1)}`)
  }

  send({ ...given, ...(ca === undefined ? {} : { ca: file }) })
  return { version: String((await ask('version')).version), ask, stop }
}
