// The names and types of every entry, as users see them: test/package/api/ENTRY.api.md, by API Extractor from the built package. A
// change of one is meant.
//
//   npm run build && node test/package/api.mjs [--check]
//
// Without --check the reports are written. With it, exit code 1 if one is not current.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { exports } = (await import("../../package.json", { with: { type: "json" } })).default;
const check = process.argv.includes("--check");
const NONE = { default: { logLevel: "none" } };

const reports = join(root, "test/package/api");
mkdirSync(reports, { recursive: true });
const temporary = mkdtempSync(join(tmpdir(), "lqa-api-"));
const changed = [];
for (const [key, { types }] of Object.entries(exports).filter(([, entry]) => typeof entry === "object")) {
  const room = key === "." ? "core" : key.slice(2);
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, types),
      compiler: { tsconfigFilePath: join(root, "tsconfig.json") },
      apiReport: {
        enabled: true,
        reportFolder: reports,
        reportTempFolder: temporary,
        reportFileName: `${room}.api.md`,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: "lf",
      messages: {
        compilerMessageReporting: NONE,
        extractorMessageReporting: NONE,
        tsdocMessageReporting: NONE,
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, "package.json"),
  });
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: !check,
    messageCallback(message) {
      message.logLevel = "none";
    },
  });
  if (apiReportChanged) changed.push(room);
}
rmSync(temporary, { recursive: true });
if (check && changed.length > 0) {
  console.error(
    `the interface of ${changed.join(", ")} is not the one in test/package/api/; if that is meant, run: node test/package/api.mjs`,
  );
  process.exitCode = 1;
} else console.log(changed.length > 0 ? `wrote ${changed.join(", ")}` : "the interface is as it was");
