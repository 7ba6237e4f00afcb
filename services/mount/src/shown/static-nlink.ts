/** st_nlink 1 for every directory: "not counted", as find(1) and the like know it. */
import { type Attr, FilesystemDecorator, S } from "@sluice/vfs";

export class StaticNlink extends FilesystemDecorator {
  protected override showAttr(attr: Attr): void {
    if ((attr.mode & S.IFMT) === S.IFDIR) attr.nlink = 1;
  }
}
