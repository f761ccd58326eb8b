import { createRoute } from '@hono/zod-openapi'
import { kekCreate, kekDestroy, kekMove, kekMoved, kekStatus } from '../keks.ts'
import { accepted, reasoned } from '../rotations.ts'
import { body, json, optionalBody, problems, withBody } from './answers.ts'
import { idempotent, kekInPath } from './parameters.ts'

const tags = ['keks']
const description = 'Needs `admin`.'
const started = json('Written down; it goes on whatever happens to the caller. While one runs: that one', accepted)

export const rotateAll = createRoute({
  method: 'post',
  path: '/admin/v1/secrets/rotate-all',
  operationId: 'rotateAll',
  tags,
  summary: 'Renews the wrap of every sealed value under the current KEK; values and versions stay as they are',
  description: `${description} While the wanted KEK waits for other brokers, it is accepted as \`waiting\` and starts at the promotion.`,
  request: { headers: idempotent, body: optionalBody(reasoned) },
  responses: { 202: started, ...problems([...withBody, 409, 504]) },
})

export const reencryptAll = createRoute({
  method: 'post',
  path: '/admin/v1/secrets/reencrypt-all',
  operationId: 'reencryptAll',
  tags,
  summary: 'Encrypts every sealed value anew, with a new key of its own: after a KEK was exposed',
  description: `${description} Values and version numbers stay as they are; the ciphertext before is gone.`,
  request: { headers: idempotent, body: optionalBody(reasoned) },
  responses: { 202: started, ...problems([...withBody, 409, 504]) },
})

export const getKekStatus = createRoute({
  method: 'get',
  path: '/admin/v1/secrets/kek-status',
  operationId: 'getKekStatus',
  tags,
  summary: 'Which KEKs there are, what still needs each, and which may be retired',
  description,
  responses: { 200: json('As it is now, in every database and every backup that is kept', kekStatus), ...problems([]) },
})

export const makeKek = createRoute({
  method: 'post',
  path: '/admin/v1/keks',
  operationId: 'makeKek',
  tags,
  summary: 'Has the provider make a KEK; 501 where the operator makes them',
  description,
  request: { headers: idempotent, body: body(kekCreate) },
  responses: { 201: json('It is held from now on', kekMoved), ...problems([...withBody, 409, 501, 504]) },
})

export const retireKek = createRoute({
  method: 'post',
  path: '/admin/v1/keks/{kek_id}/retire',
  operationId: 'retireKek',
  tags,
  summary: 'Forbids a KEK for good; 409 while anything needs it, with what and how much',
  description: `${description} Afterwards the key may be taken away.`,
  request: { params: kekInPath, headers: idempotent, body: optionalBody(kekMove) },
  responses: { 200: json('Nothing needs it, and nothing ever will', kekMoved), ...problems([...withBody, 404, 409, 504]) },
})

export const compromiseKek = createRoute({
  method: 'post',
  path: '/admin/v1/keks/{kek_id}/compromise',
  operationId: 'compromiseKek',
  tags,
  summary: 'Notes that somebody else may know a KEK: it opens only, until everything under it was encrypted anew',
  description: `${description} 409 for the current one: promote another first.`,
  request: { params: kekInPath, headers: idempotent, body: optionalBody(kekMove) },
  responses: { 200: json('It is noted', kekMoved), ...problems([...withBody, 404, 409, 504]) },
})

export const destroyKek = createRoute({
  method: 'post',
  path: '/admin/v1/keks/{kek_id}/destroy',
  operationId: 'destroyKek',
  tags,
  summary: 'Ends a KEK for good, and with it every value that it alone opens',
  description:
    `${description} Two requests: the first is refused with 409 and says in \`particulars\` what would be lost (\`loses\`) and how to agree ` +
    '(`confirmation`); the second sends both, and the id as `confirm`.',
  request: { params: kekInPath, headers: idempotent, body: optionalBody(kekDestroy) },
  responses: { 200: json('It is gone', kekMoved), ...problems([...withBody, 404, 409, 501, 504]) },
})
