// Preloaded (node --import) into a process that is measured: what it took, on its fourth stream.
import { readFileSync, writeSync } from "node:fs";

/** Peak of the resident memory. The system's own count begins with what the parent had when it forked, where there is no other. */
function peak() {
  try {
    return 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}

process.on("exit", () => {
  const { user, system } = process.cpuUsage();
  writeSync(3, JSON.stringify({ rss: peak(), cpu: (user + system) / 1e6 }));
});
