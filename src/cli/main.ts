#!/usr/bin/env node
/**
 * The `lqa` program. This file only connects `run.ts` to the process.
 *
 * @module
 */
import { run } from "./run.ts";

// Not process.exit: it would drop output that a pipe has not taken yet.
process.exitCode = await run(process.argv.slice(2));
