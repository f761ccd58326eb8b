import { createRoute } from '@hono/zod-openapi'
import { backup, backupCreate, backupList } from '../backups.ts'
import { json, optionalBody, problems, withBody } from './answers.ts'
import { idempotent } from './parameters.ts'

const tags = ['backups']
const description = 'Needs `admin`.'

export const listBackups = createRoute({
  method: 'get',
  path: '/admin/v1/backups',
  operationId: 'listBackups',
  tags,
  summary: 'The bundles that are kept, the oldest first, and which KEKs they need',
  description,
  responses: { 200: json('Every bundle that is known', backupList), ...problems([]) },
})

export const createBackup = createRoute({
  method: 'post',
  path: '/admin/v1/backups',
  operationId: 'createBackup',
  tags,
  summary: 'Writes a sealed bundle of every sealed value to the disk of the broker that answers',
  description,
  request: { headers: idempotent, body: optionalBody(backupCreate) },
  responses: { 201: json('It is written, and known', backup), ...problems([...withBody, 409, 504]) },
})
