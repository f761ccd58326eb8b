/**
 * The route with its last parameter taking the rest of the path, slashes and all, as names need it: mount this, document the
 * route itself. The handler does not use the router's parameter: `nameInTarget` cuts the name from the raw request target.
 */
export function mounted<R extends { readonly path: string }>(route: R): R {
  return { ...route, path: route.path.replace(/\{(name|secret_id)\}$/, '{$1}{.+}') }
}
