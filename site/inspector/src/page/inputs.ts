/**
 * What visitors give: files and folders that they choose or drop. Of a folder only the files that lie directly in it count,
 * as for the command line.
 *
 * @module
 */
import type { InputFile } from "../protocol.ts";

/** More files than this in a folder are not looked at. */
const MOST = 2000;

/** The files of an input element. */
export function chosenFiles(list: FileList | null): InputFile[] {
  return [...(list ?? [])]
    .map((file) => ({ path: file.webkitRelativePath || file.name, file }))
    .filter(shallow);
}

function shallow({ path }: InputFile): boolean {
  return path.split("/").length <= 2 && !/(^|\/)\./.test(path);
}

/** Files and the files of folders that were dropped. Must be called while the event is handled. */
export async function droppedFiles(data: DataTransfer): Promise<InputFile[]> {
  // The lists are empty after the first pause.
  const entries = [...data.items].flatMap((item) => {
    const entry = item.kind === "file" ? item.webkitGetAsEntry() : null;
    return entry === null ? [] : [entry];
  });
  const plain = [...data.files].map((file) => ({ path: file.name, file }));
  if (!entries.some(({ isDirectory }) => isDirectory)) return plain;
  const found = await Promise.all(entries.map((entry) => filesOf(entry, "")));
  return found.flat().filter(shallow);
}

async function filesOf(entry: FileSystemEntry, folder: string): Promise<InputFile[]> {
  const path = `${folder}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    return [{ path, file }];
  }
  if (folder !== "") return [];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: FileSystemEntry[] = [];
  // A reader gives some entries at a time, and none when there are no more.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0 || all.length > MOST) break;
    all.push(...some);
  }
  return (await Promise.all(all.map((one) => filesOf(one, `${path}/`)))).flat();
}
