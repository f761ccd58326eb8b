import { createRoute } from '@hono/zod-openapi'
import { accepted, operation, reasoned, rotateMany, rotateOne, rotationPlan, rotationStatus, rotationStatusQuery } from '../rotations.ts'
import { body, json, optionalBody, problems, withBody } from './answers.ts'
import { idempotent, operationInPath, referenceInPath } from './parameters.ts'

const tags = ['rotation']
const started = json('Written down; it goes on whatever happens to the caller', accepted)

export const getRotationStatus = createRoute({
  method: 'get',
  path: '/admin/v1/secrets/rotation/status',
  operationId: 'getRotationStatus',
  tags,
  summary: 'What is due, running, in grace, failed; next times; counts',
  description: 'Shows rows that the caller may `read-metadata`; 403 when that is none.',
  request: { query: rotationStatusQuery },
  responses: { 200: json('A page of it', rotationStatus), ...problems([]) },
})

export const rotateSecret = createRoute({
  method: 'post',
  path: '/admin/v1/secrets/rotate/{secret_id}',
  operationId: 'rotateSecret',
  tags,
  summary: 'One rotation, now',
  description: 'Needs `rotate`; with `mode: compromise`, `compromise`. Inside a grace it is 409, with the earliest time.',
  request: { params: referenceInPath, headers: idempotent, body: optionalBody(rotateOne) },
  responses: { 202: started, ...problems([...withBody, 404, 409, 501, 504]) },
})

export const rotateSecrets = createRoute({
  method: 'post',
  path: '/admin/v1/secrets/rotate',
  operationId: 'rotateSecrets',
  tags,
  summary: 'Rotates everything that a selector names; with dry_run, says what that would do',
  description: 'Needs `rotate` on each (with `mode: compromise`, `compromise`); the rest is skipped.',
  request: { headers: idempotent, body: body(rotateMany) },
  responses: { 200: json('The plan; nothing was changed', rotationPlan), 202: started, ...problems([...withBody, 404, 409, 501, 504]) },
})

export const getOperation = createRoute({
  method: 'get',
  path: '/admin/v1/secrets/rotation-status/{op_id}',
  operationId: 'getOperation',
  tags,
  summary: 'How far an operation is; an item is done when promoted and published',
  description: 'Needs `rotate` on one of its names; `admin` for a campaign.',
  request: { params: operationInPath },
  responses: { 200: json('Its progress', operation), ...problems([404]) },
})

export const rollbackSecret = createRoute({
  method: 'post',
  path: '/admin/v1/secrets/rollback/{secret_id}',
  operationId: 'rollbackSecret',
  tags,
  summary: 'Makes the previous version current again, while it still verifies',
  description: 'Needs `promote`.',
  request: { params: referenceInPath, headers: idempotent, body: optionalBody(reasoned) },
  responses: { 202: started, ...problems([...withBody, 404, 409, 412, 501, 504]) },
})

export const abortOperation = createRoute({
  method: 'post',
  path: '/admin/v1/ops/{op_id}/abort',
  operationId: 'abortOperation',
  tags,
  summary: 'Ends what is not yet promoted, leaving current as it was',
  description: 'Needs `rotate` on all of its names.',
  request: { params: operationInPath, headers: idempotent, body: optionalBody(reasoned) },
  responses: { 202: started, ...problems([...withBody, 404, 409, 412, 504]) },
})

export const retryOperation = createRoute({
  method: 'post',
  path: '/admin/v1/ops/{op_id}/retry',
  operationId: 'retryOperation',
  tags,
  summary: 'Goes on at once where an operation waits or needs attention',
  description: 'Needs `rotate` on all of its names.',
  request: { params: operationInPath, headers: idempotent, body: optionalBody(reasoned) },
  responses: { 202: started, ...problems([...withBody, 404, 409, 412, 504]) },
})
