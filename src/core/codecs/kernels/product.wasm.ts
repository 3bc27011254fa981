// Generated from product.as by src/common/wasm/build.mjs. Do not edit.

/** SHA-256 of product.as. */
export const SOURCE_HASH = "7895925da6bf7d27a2038ecd01eb749aa23651c9d69b2010c61548137f2987e9";

/** The WebAssembly module, 901 bytes, as text (src/common/wasm/kernel.ts). */
export const WASM_TEXT: string =
  "OOOOOOOOOOOOOA@@C@DA@@DAKCDKMCJH@@@@@@@@@@@@@@@@@@HD@@@@@E@@@@@B(gqm)((()3)f/vvvvvvv(+*)(-+)((/=*/opnishr((.mjmnpt*(2x.)w.*2v3uI*a*rJ7I-a*rJ4+_I6a0kI-c,_I6a*rK/I+kJ2I.I/kJ8I(J/a(J3+_I3a,kI)c,_I/{1*(K9I2K1{(,(K={z)J@I9I1{(,8KB{z)JAI/I7k{1*(K9I={z)J;I9IB{z)J?I/I7a)rk{1*(K9I={z)J:I9IB{z)J>I/I7a+lk{1*(KCI={z)J9ICIB{z)J=I/J0a)J5+_I*I5b,_I@I0a,kK0{1*(KBI,I1kK1{(,(KC{z){y)J@IAIBI1{(,8KB{z){y)JAI;I0I7k{1*(KDIC{z){y)J;I?IDIB{z){y)J?I:I0I7a)rk{1*(KDIC{z){y)J:I>IDIB{z){y)J>I9I0I7a+lk{1*(KDIC{z){y)J9I=IDIB{z){y)J=I5a)kJ54)33I8I@{3,(I8IA{3,8I4I8kK0I;{3,(I0I?{3,8I8I4a)rkK0I:{3,(I0I>{3,8I8I4a+lkK0I9{3,(I0I={3,8I8I4a*rkJ8I/I7a*rkJ/I3a,kJ34)33+_I)I3b,_I/J0I/{1*(K9I2K1{(,({z)J:I9I1{(,8{z)J9a)J5+_I*I5b,_I:I0a,kK0{1*(K;I,I1kK1{(,({z){y)J:I9I;I1{(,8{z){y)J9I5a)kJ54)33I8I:{3,(I8I9{3,8I4I8kJ8I/I7kJ/I3a)kJ34)33I6a0kJ64)33+_I-I6b,_a(J/+_I)I/b,_I6a*rK1I+kJ0I.I/I4lkI1kI(I/I7lkK8{1*(I0{e*({z)J:a)J1+_I*I1b,_I:I8a,kK8{1*(I,I0kK0{e*({z){y)J:I1a)kJ14)33I:{d*((I/a)kJ/4)33I6a)kJ64)333";
