export function environment(): NodeJS.ProcessEnv;
export function runShared(
  cwd: string,
  words: readonly string[],
): { readonly code: number | null; readonly out: string; readonly err: string };
