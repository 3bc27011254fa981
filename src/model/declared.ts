/**
 * Types of globals that a user's project may lack: TypeScript's libraries declare them only from some version on, or with
 * some setting. This file declares nothing global, so it cannot collide with the user's types.
 *
 * @module
 */

/** The instance type of the global class `Name`, if one is declared. */
export type Declared<Name extends string, Otherwise> = typeof globalThis extends {
  readonly [name in Name]: { readonly prototype: infer Type };
}
  ? Type
  : Otherwise;
