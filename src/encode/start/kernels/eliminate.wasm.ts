// Generated from eliminate.as by src/common/wasm/build.mjs. Do not edit.

/** SHA-256 of eliminate.as. */
export const SOURCE_HASH = "ef10a0f1b239288fa2a7949763ce7d4824f3e0ed4142777ab573e5d6a51d31e9";

/** The WebAssembly module, 1196 bytes, as text (src/common/wasm/kernel.ts). */
export const WASM_TEXT: string =
  "OOOOOOOOOOOO@D@@CHMDB@@@CBOOOEJH@@@@@@@@@@@@@@@@@@@@@@@@@@@@I@@C(erl)((()3)d.wwwwww)w+*)(-+)((/?*1fkhlhmesf((.lflnqu*(2y0)x0*:w)vI*[,sJ:+ZI+I9_,ZI9[+tK7[opJ1I.J0I+I9j[Ib,w[w-[)I+I9js[)j3J6[(J8I.J4+ZI6I8]I)I4_p,ZI8I(I*I4kiK2I7iQ*(K/pJ;I0J3+ZI.I3_,ZI;I,I3[*siQ*(t[)p,ZI/I(I*I3kiI7iQ*(rJ/3I3[)iJ34)33I/I6I8[wrppK3,ZI(I*I.kiJ=I0J5+ZI.I5_,ZI;I,I5[*siQ*(t[)p,ZI(I*I5kiJ>I1J/+ZI*I/a,ZI/I2iK?I?{(,(I/I>i{(,({c{3,(I/[8iJ/4)333I5[)iJ54)33I2I=],Z[(J/+ZI*I/a,ZI/I2iK5{(,(JAI5I/I=iK5{(,({3,(I5IA{3,(I/[8iJ/4)333I3gJ3I0J/+ZI.I/_,ZI(I*I/kiK5I7iQ*(I3t[)p,ZI1J2+ZI*I2a,ZI2I5iK;I;{(,(I2I=i{(,({c{3,(I2[8iJ24)333I/[)iJ/4)33I,I.[*siI3I9iY*(I8[)I3sqJ8I.[)iJ.3I4[)iJ44)33[(J5+ZI5[0^,ZI-I5I:kiK;[(I:z3([)J/[(J6+ZI6[,^,ZI0J2+ZI.I2_,wI5[*sI6iI,I2[*siQ*([Hp]-[(3,ZI2[)iJ24)33[(J4+ZI/I4_,ZI;I/I4iI*kiK=I1iI;I*I4kiI1iI*I1jz2((I.I2_,ZI(I*I2kiJ>I1J3+ZI*I3a,ZI3I=iK?I?{(,(I3I>i{(,({c{3,(I3[8iJ34)333I4[)iJ44)33I6[)iJ6I/[)sJ/4)33I5[)iJ54)33I.J2+ZI)I2_,ZI(I*I2kiK3I7iQ*(I8pK/,ZI-I/[7pI*kiJ4I-I:iI/[,t[7pI*kiJ5I-I:[)siI/[0t[7pI*kiJ6I-I:[+kiI/[4t[7pI*kiJ;I-I:[*siI/[8t[7pI*kiJ=I-I:[-kiI/[=t[7pI*kiJ>I-I:[.kiI/[At[7pI*kiJ?I-I:[/kiI/[EtI*kiJ0I1J/+ZI*I/a,ZI/I3iK@I@{(,(I/I4i{(,(I/I5i{(,({cI/I6i{(,(I/I;i{(,({c{cI/I=i{(,(I/I>i{(,({cI/I?i{(,(I/I0i{(,({c{c{c{c{3,(I/[8iJ/4)333I2[)iJ24)33I9[IiJ94)33I.3";
