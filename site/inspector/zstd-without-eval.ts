// zstd-codec for pages whose policy allows WebAssembly and nothing more. As it is published (embind of Emscripten, 2018) it
// composes functions from text, which `script-src 'self' 'wasm-unsafe-eval'` refuses, it fetches its WebAssembly from a data:
// address, which `connect-src` refuses, and it brings a copy of itself for browsers without WebAssembly. Here it gets the
// same functions as closures, its WebAssembly from the text next to it, and no copy. The build fails where the package is
// another than this was written for; test/site/inspector.mjs compares the bytes with those of the command line.
import type { Plugin } from "vite";

/** Text in the package, by the name of the function, and its replacement. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  createNamedFunction: `function createNamedFunction(name,body){var named=function(){return body.apply(this,arguments)};Object.defineProperty(named,"name",{value:makeLegalFunctionName(name)});return named}`,
  craftInvokerFunction: `function craftInvokerFunction(humanName,argTypes,classType,cppInvokerFunc,cppTargetFunc){
  var argCount=argTypes.length;
  if(argCount<2)throwBindingError("argTypes array size mismatch! Must at least get return value and 'this' types!");
  var isMethod=argTypes[1]!==null&&classType!==null;
  var first=isMethod?1:2;
  var stacked=argTypes.slice(1).some(function(type){return type!==null&&type.destructorFunction===undefined});
  var returns=argTypes[0].name!=="void";
  return function(){
    if(arguments.length!==argCount-2)throwBindingError("function "+humanName+" called with "+arguments.length+" arguments, expected "+(argCount-2)+" args!");
    var destructors=stacked?[]:null;
    var wired=isMethod?[argTypes[1].toWireType(destructors,this)]:[];
    for(var i=0;i<argCount-2;++i)wired.push(argTypes[i+2].toWireType(destructors,arguments[i]));
    var rv=cppInvokerFunc.apply(null,[cppTargetFunc].concat(wired));
    if(stacked)runDestructors(destructors);
    else for(var k=first;k<argCount;++k)if(argTypes[k].destructorFunction!==null)argTypes[k].destructorFunction(wired[k-first]);
    if(returns)return argTypes[0].fromWireType(rv);
  }
}`,
  makeDynCaller: `function makeDynCaller(dynCall){return function(){return dynCall.apply(null,[rawFunction].concat(Array.from(arguments)))}}`,
  __emval_get_method_caller: `function __emval_get_method_caller(argCount,argTypes){
  var types=__emval_lookupTypes(argCount,argTypes);
  var retType=types[0];
  return __emval_addMethodCaller(function(handle,name,destructors,args){
    var values=[];
    for(var i=1;i<argCount;++i){values.push(types[i].readValueFromPointer(args));args+=types[i]["argPackAdvance"]}
    var rv=handle[name].apply(handle,values);
    for(var k=1;k<argCount;++k)if(types[k]["deleteObject"])types[k]["deleteObject"](values[k-1]);
    if(!retType.isVoid)return retType.toWireType(destructors,rv);
  })
}`,
  craftEmvalAllocator: `function craftEmvalAllocator(argCount){
  return function(constructor,argTypes,args){
    var values=[];
    for(var i=0;i<argCount;++i){
      var type=requireRegisteredType(Module["HEAP32"][(argTypes>>2)+i],"parameter "+i);
      values.push(type.readValueFromPointer(args));
      args+=type["argPackAdvance"];
    }
    return __emval_register(new (Function.prototype.bind.apply(constructor,[null].concat(values))));
  }
}`,
};
const FETCHES =
  'if(!wasmBinary&&(ENVIRONMENT_IS_WEB||ENVIRONMENT_IS_WORKER)&&typeof fetch==="function"){return fetch(';

/** The text of a function, from its name to the brace that ends it. */
function functionText(code: string, name: string): string {
  const begin = code.indexOf(`function ${name}(`);
  if (begin < 0)
    throw new Error(`zstd-codec has no function ${name}: it is not the version this was written for`);
  let depth = 0;
  for (let at = code.indexOf("{", begin); ; at++) {
    if (code[at] === "{") depth++;
    else if (code[at] === "}" && --depth === 0) return code.slice(begin, at + 1);
    else if (code[at] === undefined) throw new Error(`the function ${name} of zstd-codec does not end`);
  }
}

/** zstd-codec without text that becomes code. */
export function zstdWithoutEval(): Plugin {
  return {
    name: "lqa:zstd-without-eval",
    enforce: "pre",
    // The copy, and modules of Node that it asks for where it finds Node.
    resolveId: (id) =>
      /^(fs|path|crypto)$|\/zstd-codec-binding\.js$/.test(id) ? "\0lqa:nothing" : undefined,
    load: (id) => (id === "\0lqa:nothing" ? "export default undefined;" : undefined),
    transform(code, id) {
      if (!id.endsWith("zstd-codec-binding-wasm.js")) return undefined;
      let changed = code;
      for (const [name, text] of Object.entries(FUNCTIONS))
        changed = changed.replace(functionText(changed, name), () => text);
      if (!changed.includes(FETCHES)) throw new Error("zstd-codec does not fetch where it did");
      changed = changed.replace(FETCHES, "if(false){return fetch(");
      if (/new Function\b|new_\(Function\b|\beval\(/.test(changed))
        throw new Error("zstd-codec still composes functions from text");
      return { code: changed, map: null };
    },
  };
}
