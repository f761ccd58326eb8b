import { setFlagsFromString } from 'node:v8'

const growthFactor = (factor: 1 | 2): void => setFlagsFromString(`--semi-space-growth-factor=${factor}`)
// V8's own
const usual = 2

let holders = 0

/**
 * Until the answer is called, V8 gives young objects no more room than they have. Rows of a pass outlive the moment that it counts on, so it would give them
 * more and more, 128 MB in the end: so the process stays as large as it was, and what is used stays in the processor's caches.
 */
export function holdYoungSpace(): () => void {
  holders += 1
  if (holders === 1) growthFactor(1)
  let isHeld = true
  return () => {
    if (!isHeld) return
    isHeld = false
    holders -= 1
    if (holders === 0) growthFactor(usual)
  }
}
