export function environment(): NodeJS.ProcessEnv;
export function runShared(
  cwd: string,
  words: readonly string[],
  options?: { readonly node?: string; readonly env?: Readonly<Record<string, string | undefined>> },
): { readonly code: number | null; readonly out: string; readonly err: string };
