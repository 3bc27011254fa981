export function runShared(
  cwd: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): { readonly code: number | null; readonly out: string; readonly err: string };
