#!/usr/bin/env node
/**
 * The `lqa` program. Everything it does is in `run.ts`; this file only connects it to the process.
 *
 * @module
 */
import { run } from "./run.ts";

// Not process.exit: output that is still on its way to a pipe must arrive.
process.exitCode = await run(process.argv.slice(2));
