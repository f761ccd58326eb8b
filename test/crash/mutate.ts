import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EnginePorts, Rotation } from '@keyturn/core'
import type { PlantedBug } from './planted-bugs.ts'

const source = join(import.meta.dirname, '../../packages/core/src')
/** Ignored by git, inside the project so that it is compiled like the rest. */
const place = join(import.meta.dirname, '.planted')

type EngineClass = new (ports: EnginePorts) => { runOne(options: { holder: string }): Promise<Rotation | null> }

/** A copy of the engine with one bug in it; everything outside the engine is the real thing. */
export async function plant(bug: PlantedBug, index: number): Promise<EngineClass> {
  const folder = join(place, `${process.pid}-${index}`)
  mkdirSync(folder, { recursive: true })
  cpSync(join(source, 'engine'), folder, { recursive: true, filter: name => !name.endsWith('.test.ts') })
  for (const file of readdirSync(folder)) {
    let text = readFileSync(join(folder, file), 'utf8')
    if (file === bug.file) {
      if (text.split(bug.find).length !== 2)
        throw new Error(`the bug "${bug.title}" no longer fits ${file}: its place stands there not once`)
      text = text.replace(bug.find, () => bug.replace)
    }
    writeFileSync(join(folder, file), text.replaceAll("from '../", `from '${source}/`))
  }
  const module: { RotationEngine: EngineClass } = await import(join(folder, 'engine.ts'))
  return module.RotationEngine
}

export function removePlanted(): void {
  rmSync(place, { recursive: true, force: true })
}
