import { createRoute } from '@hono/zod-openapi'
import { tokenCreate, tokenCreated, tokenList } from '../tokens.ts'
import { body, json, problems, withBody } from './answers.ts'
import { idempotent, tokenInPath } from './parameters.ts'

const tags = ['tokens']
const description = 'Needs `admin`.'

export const listTokens = createRoute({
  method: 'get',
  path: '/admin/v1/tokens',
  operationId: 'listTokens',
  tags,
  summary: 'All tokens, never one of them itself',
  description,
  responses: { 200: json('Their metadata', tokenList), ...problems([]) },
})

export const createToken = createRoute({
  method: 'post',
  path: '/admin/v1/tokens',
  operationId: 'createToken',
  tags,
  summary: 'Makes a token for a role',
  description,
  request: { headers: idempotent, body: body(tokenCreate) },
  responses: { 201: json('The token, shown this once', tokenCreated), ...problems([...withBody, 409, 504]) },
})

export const revokeToken = createRoute({
  method: 'delete',
  path: '/admin/v1/tokens/{id}',
  operationId: 'revokeToken',
  tags,
  summary: 'Ends a token for good',
  description,
  request: { params: tokenInPath },
  responses: { 204: { description: 'It is refused from now on' }, ...problems([404, 504]) },
})
