#!/usr/bin/env node
/**
 * The `lqa` program. This file only connects `run.ts` to the process.
 *
 * @module
 */
import { run } from "./run.ts";

// Warnings of the AWS SDK about versions of Node are for developers, not for users of a command.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

// Not process.exit: it would drop output that a pipe has not taken yet.
process.exitCode = await run(process.argv.slice(2));
