import { createRoute } from '@hono/zod-openapi'
import { z } from 'zod'
import { batch, batchAnswer, secret, secretList, secretListQuery, secretQuery, secretWrite, secretWritten, versions } from '../secrets.ts'
import { body, json, problems, withBody } from './answers.ts'
import { cacheable, conditional, etagHeader, nameInPath, secretHeaders } from './parameters.ts'

const tags = ['readers']

export const getSecret = createRoute({
  method: 'get',
  path: '/v1/secrets/{name}',
  operationId: 'getSecret',
  tags,
  summary: 'The current version of a secret, or the one asked for',
  description: 'Needs `read`; with `stage=pending`, `stage`.',
  request: { params: nameInPath, query: secretQuery, headers: cacheable },
  responses: {
    200: {
      description:
        'The value, whole. For `Accept: text/plain`: the bytes of its one field, or of `?field=`; `application/octet-stream` when they are not UTF-8.',
      headers: secretHeaders,
      content: {
        'application/json': { schema: secret },
        'text/plain': { schema: z.string() },
        'application/octet-stream': { schema: z.string() },
      },
    },
    304: { description: 'The version that the caller holds is still served. Counts as a use.', headers: etagHeader },
    ...problems([404, 406, 412, 501]),
  },
})

export const putSecret = createRoute({
  method: 'put',
  path: '/v1/secrets/{name}',
  operationId: 'putSecret',
  tags,
  summary: 'Makes a secret, or a new version of one',
  description: 'Needs `write`.',
  request: { params: nameInPath, headers: conditional, body: body(secretWrite) },
  responses: {
    200: { ...json('A new version of a secret that was there', secretWritten), headers: etagHeader },
    201: { ...json('A new secret', secretWritten), headers: etagHeader },
    ...problems([...withBody, 404, 409, 412, 422, 501, 504]),
  },
})

export const deleteSecret = createRoute({
  method: 'delete',
  path: '/v1/secrets/{name}',
  operationId: 'deleteSecret',
  tags,
  summary: 'Takes a secret away, recoverably where the store can',
  description: 'Needs `delete`.',
  request: { params: nameInPath, headers: conditional },
  responses: { 204: { description: 'It is gone' }, ...problems([404, 409, 412, 501, 504]) },
})

export const getVersions = createRoute({
  method: 'get',
  path: '/v1/versions/{name}',
  operationId: 'getVersions',
  tags,
  summary: 'The versions of a secret, newest first; never a value',
  description: 'Needs `read-metadata`.',
  request: { params: nameInPath },
  responses: { 200: json('Its versions', versions), ...problems([404, 501]) },
})

export const listSecrets = createRoute({
  method: 'get',
  path: '/v1/secrets',
  operationId: 'listSecrets',
  tags,
  summary: 'Names and metadata that the caller may see, sorted; never a value',
  description: 'Needs `list`, row by row.',
  request: { query: secretListQuery },
  responses: { 200: json('A page of them', secretList), ...problems([]) },
})

export const batchSecrets = createRoute({
  method: 'post',
  path: '/v1/secrets:batch',
  operationId: 'batchSecrets',
  tags,
  summary: 'Many secrets at once; each item answers for itself, in order',
  description: 'Needs what `GET` of each item needs.',
  request: { body: body(batch) },
  responses: {
    200: { ...json('An answer to each item', batchAnswer), headers: { 'Cache-Control': secretHeaders['Cache-Control'] } },
    ...problems(withBody),
  },
})
