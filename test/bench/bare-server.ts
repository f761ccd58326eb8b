/** The bare limit: the same framework and server, one route, one JSON answer. */
import process from 'node:process'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const app = new Hono()
const answer = JSON.parse(process.argv[3] ?? '{}') as object
app.get('/v1/secrets/bench/token', c => c.json(answer))
serve({ fetch: app.fetch, port: Number(process.argv[2]), hostname: '127.0.0.1' })
