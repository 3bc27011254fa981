declare module "zstd-codec";
