import * as backups from './backups.ts'
import * as keks from './keks.ts'
import * as metrics from './metrics.ts'
import * as readers from './readers.ts'
import * as rotation from './rotation.ts'
import * as service from './service.ts'
import * as tokens from './tokens.ts'

export { openApiDocument } from './openapi.ts'

/** Every route of the broker: the object is the contract, and handlers are mounted on it. */
export const routes = { ...readers, ...rotation, ...keks, ...backups, ...tokens, ...service, ...metrics }
