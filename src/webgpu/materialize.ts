/**
 * Makes factors with a start or a parent whole. Loaded when a module has one, which most do not.
 *
 * @module
 */
export { materialize } from "../core/rooms.ts";
