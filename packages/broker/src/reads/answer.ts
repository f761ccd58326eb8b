import type { Rendering } from './material.ts'

/** The answer that carries a value. */
export function valueAnswer(rendering: Rendering, requestId: string): Response {
  const headers = { ...rendering.headers, 'X-Request-Id': requestId }
  // what a rendering holds is its own memory, never shared: the wider type of its bytes is only the compiler's
  return new Response(rendering.body as string | Uint8Array<ArrayBuffer>, { status: 200, headers })
}

/** The caller holds this version already. */
export function notModified(rendering: Rendering, requestId: string): Response {
  return new Response(null, { status: 304, headers: { ETag: rendering.etag, 'Cache-Control': 'no-store', 'X-Request-Id': requestId } })
}

/** Whether an `If-None-Match` lists this tag: compared weakly, or `*` (RFC 9110, 13.1.2). */
export function lists(header: string | undefined, etag: string): boolean {
  return header?.split(',').some(tag => ['*', etag, `W/${etag}`].includes(tag.trim())) ?? false
}
