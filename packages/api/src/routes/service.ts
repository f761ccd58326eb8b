import { createRoute } from '@hono/zod-openapi'
import { z } from 'zod'
import { health, readiness } from '../health.ts'
import { json, open } from './answers.ts'

const tags = ['service']

export const getHealth = createRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'getHealth',
  tags,
  summary: 'Whether the event loop turns',
  security: [],
  responses: { 200: json('It turns', health), ...open([500]) },
})

export const getReadiness = createRoute({
  method: 'get',
  path: '/readyz',
  operationId: 'getReadiness',
  tags,
  summary: 'Whether requests can be served: config, ledger, audit, KEK',
  security: [],
  responses: { 200: json('Ready', readiness), 503: json('Not ready; `checks` says why', readiness), ...open([500]) },
})

export const getOpenApi = createRoute({
  method: 'get',
  path: '/openapi.json',
  operationId: 'getOpenApi',
  tags,
  summary: 'This document',
  security: [],
  responses: { 200: json('OpenAPI 3.1', z.looseObject({ openapi: z.string() })), ...open([500]) },
})
