// For StrykerJS: no mutants in what only the reader of a message would notice, and no test compares: what an error says
// beside its code, and the messages of programming errors.
import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin";

const messages = {
  shouldIgnore({ parent, key, listKey }) {
    if (parent?.type === "VariableDeclarator" && parent.id.name === "where")
      return "names a place in a message";
    if (listKey !== "arguments") return undefined;
    const { name } = parent.callee;
    if (parent.type === "NewExpression" && /^(Range|Type)?Error$/.test(name)) return "a message";
    // The first argument of these is the code of the error.
    if ((name === "fail" || name === "report") && key > 0) return "details of an error";
    return name === "bad" ? "details of an error" : undefined;
  },
};

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, "messages", messages)];
