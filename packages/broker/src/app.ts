import type { HttpBindings } from '@hono/node-server'
import { OpenAPIHono } from '@hono/zod-openapi'
import { routes } from '@keyturn/api/routes'
import type { Broker } from './broker.ts'
import { type HttpContext, named, problem, refuseUnknown } from './exchange.ts'
import { createBackup, listBackups } from './routes/backups.ts'
import { batchSecrets } from './routes/batch-secrets.ts'
import { reencryptAll, rotateAll } from './routes/campaigns.ts'
import { getSecret } from './routes/get-secret.ts'
import { getVersions } from './routes/get-versions.ts'
import { getKekStatus } from './routes/kek-status.ts'
import { compromiseKek, destroyKek, makeKek, retireKek } from './routes/keks.ts'
import { listSecrets } from './routes/list-secrets.ts'
import { getMetrics } from './routes/metrics.ts'
import { abortOperation, getOperation, retryOperation, rollbackSecret } from './routes/operations.ts'
import { rotateSecret, rotateSecrets } from './routes/rotate.ts'
import { getRotationStatus } from './routes/rotation-status.ts'
import { getHealth, getOpenApi, getReadiness } from './routes/service.ts'
import { createToken, listTokens, revokeToken } from './routes/tokens.ts'
import { deleteSecret, putSecret } from './routes/write-secret.ts'

type Act = (broker: Broker, context: HttpContext) => Response | Promise<Response>

/** What each route of the contract does here, by its name there. */
const acts: { readonly [Name in keyof typeof routes]: Act } = {
  getSecret,
  putSecret,
  deleteSecret,
  getVersions,
  listSecrets,
  batchSecrets,
  getRotationStatus,
  rotateSecret,
  rotateSecrets,
  getOperation,
  rollbackSecret,
  abortOperation,
  retryOperation,
  rotateAll,
  reencryptAll,
  getKekStatus,
  makeKek,
  retireKek,
  compromiseKek,
  destroyKek,
  listBackups,
  createBackup,
  listTokens,
  createToken,
  revokeToken,
  getHealth,
  getReadiness,
  getOpenApi,
  getMetrics,
}

/** Routes without a caller and without a record; a test holds the router to this list. */
export const unaudited: readonly (keyof typeof routes)[] = ['getHealth', 'getReadiness', 'getOpenApi', 'getMetrics']

/** The HTTP face of a broker, as a server takes it. */
export type App = OpenAPIHono<{ Bindings: HttpBindings }>

/**
 * The broker's HTTP face: every route of the contract, and problems for everything else. One handler a route and no middleware: what all routes
 * have in common is `exchange`, and a stack of middleware would cost every read a third of its time.
 */
export function makeApp(broker: Broker): App {
  const app: App = new OpenAPIHono<{ Bindings: HttpBindings }>()
  for (const [name, route] of Object.entries(routes)) {
    const act = acts[name as keyof typeof routes] // the keys are those of the table
    app.openAPIRegistry.registerPath(route)
    app.on(route.method.toUpperCase(), patternOf(route.path), context => act(broker, context))
  }
  // Hono's own type of this handler forgets the bindings of its app
  app.notFound(context => refuseUnknown(broker, context as HttpContext, methodsOf(context.req.path)))
  app.onError((error, context) => {
    const requestId = broker.requestId()
    broker.log.error({ requestId, name: error.name, path: context.req.routePath }, 'a route failed outside its exchange')
    return problem(named(error), requestId)
  })
  return app
}

/** As the router writes it: a name is the rest of the path, and not empty (`*` would match nothing too); it is cut from the raw target later. */
function patternOf(path: string): string {
  return path.replace(/\{(name|secret_id)\}$/, ':rest{.+}').replace(/\{(\w+)\}/g, ':$1')
}

const patterns = Object.values(routes).map(route => ({
  method: route.method.toUpperCase(),
  form: new RegExp(`^${route.path.replace(/\{(name|secret_id)\}$/, '.+').replace(/\{\w+\}/g, '[^/]+')}$`),
}))

/** The methods that this path knows. */
function methodsOf(path: string): readonly string[] {
  return patterns.filter(({ form }) => form.test(path)).map(({ method }) => method)
}
