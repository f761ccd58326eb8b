import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { findInCache } from './aws-emulator.ts'

const run = promisify(execFile)

/** The Python beside moto, which has boto3; undefined when it is not there. */
export function findBoto3(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return findInCache('aws/moto/bin/python', env)
}

/** AWS's own client of another language, asked in one process each time. */
export interface Boto3 {
  readonly version: string
  /** One call of a client: its method and its arguments. Bytes go and come as `{"base64": ...}`. An error of AWS answers `{"Error": name}`. */
  ask(method: string, input: object): Promise<Readonly<Record<string, unknown>>>
}

const script = `
import base64, datetime, json, sys, boto3
from botocore.exceptions import ClientError
service, endpoint, method, source = sys.argv[1:5]
def put(value):
    return base64.b64decode(value["base64"]) if isinstance(value, dict) and "base64" in value else value
def tell(value):
    if isinstance(value, bytes): return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime): return value.isoformat()
    raise TypeError(value)
client = boto3.client(service, endpoint_url=endpoint, region_name="us-east-1")
try:
    answer = getattr(client, method)(**{name: put(value) for name, value in json.loads(source).items()})
except ClientError as error:
    answer = {"Error": error.response["Error"]["Code"]}
answer.pop("ResponseMetadata", None)
print(json.dumps(answer, default=tell))
`

/** Asks one service at an endpoint, `secretsmanager` when left out. */
export async function openBoto3(python: string, endpoint: string, service = 'secretsmanager'): Promise<Boto3> {
  const env = {
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    AWS_ACCESS_KEY_ID: 'AKIABOTO300000000000',
    AWS_SECRET_ACCESS_KEY: 'boto3',
    AWS_EC2_METADATA_DISABLED: 'true',
  }
  const { stdout: version } = await run(python, ['-c', 'import boto3; print(boto3.__version__, end="")'], { env })
  return {
    version,
    async ask(method, input) {
      const { stdout } = await run(python, ['-c', script, service, endpoint, method, JSON.stringify(input)], { env })
      // what json.dumps of a dict prints
      return JSON.parse(stdout) as Record<string, unknown>
    },
  }
}
