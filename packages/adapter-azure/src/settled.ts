import { hasStatus, innerCode } from './classify.ts'
import type { Client } from './client.ts'

const pauseMs = 250
/** How long a secret on its way out or back is waited for. */
const waitMsMax = 15_000
/** https://github.com/Azure/azure-sdk-for-net/issues/31581, https://github.com/hashicorp/terraform-provider-azurerm/issues/10454 */
const onItsWay: readonly (string | undefined)[] = ['ObjectIsBeingDeleted', 'ObjectIsBeingRecovered']

/** Sends a request again while the vault is still deleting or recovering the secret: a deletion and a recovery show before they are done. A 409 was not acted on. */
export async function settled<T>(client: Client, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let waited = 0
  for (let pause = pauseMs; ; ) {
    try {
      return await work()
    } catch (error) {
      if (!hasStatus(error, 409) || !onItsWay.includes(innerCode(error)) || waited >= waitMsMax) throw error
    }
    waited += pause
    pause = await client.pause(pause, signal)
  }
}
