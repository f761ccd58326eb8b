import { createRoute } from '@hono/zod-openapi'
import { z } from 'zod'
import { problems } from './answers.ts'

export const getMetrics = createRoute({
  method: 'get',
  path: '/metrics',
  operationId: 'getMetrics',
  tags: ['service'],
  summary: 'What a monitoring system collects: counts, ages and states, never a name of a secret',
  description: 'Needs `admin`. The text format of Prometheus, version 0.0.4.',
  responses: { 200: { description: 'The figures of this moment', content: { 'text/plain': { schema: z.string() } } }, ...problems([]) },
})
