// Generated from spec/trellis-tables.json by spec/generate.mjs. Do not edit.

/** The trellis tables of spec annex H: window w has the entries from w · weightsPerStep on, 8-bit integers in base64. */
export const TRELLIS_DATA: readonly {
  readonly number: number;
  readonly stepBits: number;
  readonly weightsPerStep: number;
  readonly unit: number;
  readonly distortion: number;
  readonly entries: string;
}[] = [
  {
    number: 1,
    stepBits: 1,
    weightsPerStep: 2,
    unit: 0.00999174,
    distortion: 0.5306,
    entries:
      "K1CswDzH2GLAsE1Bu0FQy1c/0cg1wcNWr51ZO8BIX7qywkEyjUdCvllKscEvw7w40dRaMMNSRb1EN8u1WL3TLhmvzG1IULi0vE48ytHQNEBFr7Y8MzzB4LElQIHN2GpO3GQ90rzIOTlDmLMhOyHJzMdUMbalwE1CQcakRFYuvsYzo7o5QzWu2s8wWcm4zUQ8KqPCY0c2xMuvNknEyphFMctfL8y2vko2PKm9MS5IlLjAOkjMucVTLz+4tlBHPdbQUT+zs13Ny2TEwEhir1dAzjk7ts07wLhI7Kk1UMUkZ7zB0kYvoy5JvTYr4d9Mo8U2sLFrRb00O9E3I7uST8e/L8XAJFC1QDeOXi+/y1C+yD3Svj5KyU41wEJhurRZxrk6PDjFyTyysTbJqzxN3El2x0kv44FRztNzrbxaRK82RMzUYlXCpq5CNDCkrlJKRtS91kIowaPYTiU8xq4xXE7DwEKzoT9WK5zK3EU4uZ/GOERAxr5LQ17RrLdRPL+1s0VUu0I/vsO5NT0yxbc5O1fMvctUL7u8w0kvUrq+TkdBoMA9sLAzP0bJx8UvSrHGrEA6MK/KOS9NnNXHJ1vDzrAoSZvcOE25OUu8REjLvUTuxlCIxVhQ2Wg3wSA9wM1Cr5xAQkKXuC7LrT3Jv1JRuEE21EY5z4hA28Ev0Zojf8E8KMo=",
  },
  {
    number: 2,
    stepBits: 1,
    weightsPerStep: 1,
    unit: 0.0171747,
    distortion: 0.2767,
    entries:
      "VvTsONEbDq1a+eEs0RUOpaISGsk25exqng4i2yPl8Ewr6O5BrQ8f1yvh8U+yCxva0BoUr3/74CjXIRCZWu7kKqwPGdMp3/lMsRMW0izl7lZW8+Ik0BoPlEnu5TfSGhClzyAWw0zw6CbZIBW0XfLrLiTh8Eq4EhXOKOPoQpQRGdTyazzqF9WjEPRsJ+AX1rQQD5nSIuguSOsMo9kf6C1L7uw1Ue4OpdYk4DBb8A+r3Bwe1bwR+Gsr2CDamxDvUzHjEKzZFuElVOwOqdIS5C1W8PNdLN0Y0LIN7Fcr4RzXpREe0KUP610p5RvXwxXvUzTr3SpF7hK/0R/gLFHwDpzKGQ==",
  },
  {
    number: 3,
    stepBits: 3,
    weightsPerStep: 2,
    unit: 0.0206445,
    distortion: 0.147,
    entries:
      "VkOluO7oFBX0LRDOOvjNBxX17gubJVjWzecoGg5/+7zg0CQpevu7/S6r0FD1GAnpyBRI4hit514CE/7v3dEuHhvY5C2+B0j91rQzTg8S8epOF7js7b4VQ/oRAu4p3NMwwUJYpxrr6x0RL/HP0fQwBOfvDg48J47VKOvYG/9HBsDXvCdREhT26hnV4yCrCVH1/g4C7C7M1jBBFsXk9J0UPg0y9NPD9TQIxlVAuxPt5A0s6tsc+EgEt+zuGhd0Ia/T8TIGzy7t0Qg9T76e7vQaFNDoLxUAPAK6EfXoDqswRNEmwtRA9AsI8+HZGTFIC5X+AhX978nSMC25GDrpHq7uS1D3mg7lJxXW7vIPFzBJ1bMMRfWWxuBDHc4lMNME8PcM6woa6zigmUgvDsrz88gBMKXVRycQBunsAbH8QNAUL+EWF+juvKowcckIMvcJ1OwuddS0Ne4OGe71xwhDLRvO66r3VgAZIuXVEunsEd9sIYHzVw29ROa+GS8v0tr79AgRzQox9g/C8jEbEu/rvsBdVP/CCUI4FNPsQtG4OvAXEvkL8PYP1jwytIUGRwUdNN3WLizS2/3p/RHoSBK2PenAGfTtDBIsRtavYPKyBOctH9LSIy3UDvb6CRZb5YbO6VQXMgrC++/MEjLqEBPuU8PDY/+4AGfTFCXusNFgLxUa7fE=",
  },
  {
    number: 4,
    stepBits: 2,
    weightsPerStep: 1,
    unit: 0.0227749,
    distortion: 0.07366,
    entries:
      "YPwd3vpI2BnrLb8OLuoKvd4kigEj4gSrPvQU0fM2zhAMxTHvww7uOdwd/1wg3WT90xT2PRLROfUBsiPkqgLkJh3dXP/VHPl0wg7vOAvBK+ukAuUiBIEo4xHJPPPQFPc8LO4Jx+0xwwz8WtwcU/8c3PdA1BBA9RLSJOUCtOEjmQPgG/5ZGdpO+wrAMuzACuwu/6Ak5LMD5yTOEvNCEs9A9u0yxg4v7QvCTf8f3vlU2RtC9RTR8j3OEuImqQUi3wKtAX/bIVn8Gdwv7grB7TDDCiTlBKbnKLYF8zrSEzz1FtPGDO0vC8My7RrbSvvZHP1NE9M788wT9DyyBeglApYk4Q==",
  },
  {
    number: 5,
    stepBits: 3,
    weightsPerStep: 1,
    unit: 0.0253619,
    distortion: 0.01946,
    entries:
      "Z90Y+y7DCuzwCcgv+xreS8Uu7QrdS/sbGPxd3QnuLMfTPPUStyTmAwTlIqUS9j3RJKkF5z7TE/f2E9M45gS1IucEqSL3EdE+PNIS9iOzBeYT9jnUBecktIEi5QTRPPUSB+wrxRj5Stzfbv0bwi/vC/wa3FbtCsQuLckK7U/dG/wtygnuSN0a+vwZ3VXtCcAv3X/9GcEu7gsI7i3JGvxL3pIj5gTSPvcSEvQ20gPlIrY31BT3I7cF5+cEqSL3EdI99hLSOeYDsyMkngXmQNIS9gXnJJkT9zzS1Tb2ErYh5wMZ+mDdCOwtwccs7gvcSvwa7gjGLvoZ3Exa3hr8LcIK7g==",
  },
  {
    number: 6,
    stepBits: 4,
    weightsPerStep: 1,
    unit: 0.0277173,
    distortion: 0.005198,
    entries:
      "bSHN2Sw84r7n+w8I9e4CFvfxBRnq/hILJjLgoUIexdUhUNnMOCy24vvnCA/u9BYC8PgZBf7pDBIzJ67eHUzUyCs34rNWIM3Z9e4CFuf7Dwjp/xIL+PEFGUcdx9QnM96pOiy+4iJ/2s7u9RYC++cID/7qCxLx9xkEHUPUwzEmm98ZBfH5CxL/6qbfMibUxx1H2s4hT7fjOCsID/znFgLv9QQZ+PESC+r+3pEmMcLUQR7P2mMi470tPA4I6fwCFvXvCxL+6hkE8fjUwh5Agd4xJ7zjPCzaziJeFgLv9QgP++gSC+n+BRj48cfUSR3eryYz47gsOM7aViEBFvbvDwjo/A==",
  },
];
