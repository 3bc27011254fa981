// SPDX-License-Identifier: CC0-1.0
//
// The command line of the decoder in Java; speaks conformance/PROTOCOL.md, "Decoders".
//
//   java Main TABLES [--level LEVEL] [--budget BYTES] [--parent FILE]... < file      TABLES is spec/trellis-tables.json
//   java Main TABLES --lines
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public final class Main {
  private static final long BUDGET = 536870912L;
  private static int[][] tables;

  private record Answer(int exit, String document) {}

  public static void main(String[] args) throws Exception {
    tables = readTables(Path.of(args[0]));
    List<String> parents = new ArrayList<>();
    long budget = BUDGET;
    for (int i = 1; i < args.length; i++) {
      if (args[i].equals("--lines")) {
        lines();
        return;
      }
      if (args[i].equals("--budget")) budget = Long.parseLong(args[++i]);
      else if (args[i].equals("--parent")) parents.add(args[++i]);
      else i++; // --level: a decoder has none
    }
    Answer answer = answer(System.in.readAllBytes(), budget, parents);
    System.out.println(answer.document);
    System.out.flush();
    System.exit(answer.exit);
  }

  /** The entries of each table by its number. */
  private static int[][] readTables(Path path) throws IOException {
    int[][] tables = new int[7][];
    String[] parts = Files.readString(path).split("\"entries\"");
    for (int number = 1; number < tables.length; number++) {
      String entries = parts[number].substring(parts[number].indexOf('[') + 1, parts[number].indexOf(']'));
      tables[number] = Pattern.compile(",").splitAsStream(entries).mapToInt(entry -> Integer.parseInt(entry.strip())).toArray();
    }
    return tables;
  }

  private static void lines() throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String command = text(line, "cmd");
      if (command.equals("stop")) return;
      if (command.equals("start")) System.out.println("{\"protocol\":1,\"name\":\"LqaDecoder\",\"version\":\"1.0\",\"language\":\"Java\"}");
      else if (command.equals("caps")) System.out.println("{\"levels\":[],\"operations\":[\"decode\"],\"without\":{}}");
      else {
        String hex = text(line, "hex"), budget = find(line, "\"budget\":(\\d+)");
        byte[] bytes = hex != null ? HexFormat.of().parseHex(hex) : Files.readAllBytes(Path.of(text(line, "path")));
        List<String> parents = new ArrayList<>();
        String list = find(line, "\"parents\":\\[([^\\]]*)\\]");
        if (list != null) for (Matcher m = Pattern.compile("\"([^\"]*)\"").matcher(list); m.find();) parents.add(m.group(1));
        Answer answer = answer(bytes, budget == null ? BUDGET : Long.parseLong(budget), parents);
        System.out.printf("{\"seq\":%s,\"exit\":%d,\"document\":%s}%n", find(line, "\"seq\":(\\d+)"), answer.exit, answer.document);
      }
      System.out.flush();
    }
  }

  private static Answer answer(byte[] bytes, long budget, List<String> parents) throws IOException {
    try {
      List<byte[]> left = new ArrayList<>();
      for (String path : parents) left.add(Files.readAllBytes(Path.of(path)));
      LqaDecoder file = new LqaDecoder(bytes, tables, open(left));
      StringBuilder modules = new StringBuilder();
      for (LqaDecoder.Module m : file.modules) {
        modules.append(modules.isEmpty() ? "" : ",").append("{\"name\":").append(quoted(m.name));
        modules.append(",\"out\":" + m.out + ",\"inp\":" + m.in + ",\"experts\":" + m.experts + ",\"rank\":" + m.rank);
        modules.append(",\"multiplier\":" + (Float.isFinite(m.multiplier) ? (double) m.multiplier : "null") + ",\"sha256\":");
        modules.append(m.decodedBytes() <= budget && file.canDecode(m) ? hashes(file, m) : "null").append("}");
      }
      return new Answer(0, "{\"decoded\":true,\"modules\":[" + modules + "]}");
    } catch (LqaDecoder.Refused refused) {
      String name = refused.getMessage();
      return refusal(name, name.startsWith("UNSUPPORTED") ? 3 : 1);
    } catch (IndexOutOfBoundsException | IllegalArgumentException | ArithmeticException broken) {
      return refusal("TRUNCATED_FILE", 1); // a record leads out of the file, or beyond 64 bits
    }
  }

  private static Answer refusal(String name, int exit) {
    return new Answer(exit, "{\"decoded\":false,\"error\":{\"name\":\"" + name + "\"}}");
  }

  /** Opens files that may be parents, each with all others as its parents; passes over those that are none. */
  private static List<LqaDecoder> open(List<byte[]> files) {
    List<LqaDecoder> opened = new ArrayList<>();
    for (int i = 0; i < files.size(); i++) {
      List<byte[]> others = new ArrayList<>(files);
      others.remove(i);
      try {
        opened.add(new LqaDecoder(files.get(i), tables, open(others)));
      } catch (RuntimeException broken) {
        // Not a file of this format, or a damaged one.
      }
    }
    return opened;
  }

  private static String hashes(LqaDecoder file, LqaDecoder.Module m) {
    float[] b = file.decode(m, LqaDecoder.B), a = file.decode(m, LqaDecoder.A);
    String f16 = "{\"b\":" + f16(m.parent != 0, b) + ",\"a\":" + f16(m.started || m.parent != 0, a) + "}";
    return "{\"f32\":{\"b\":" + hash(b, 4) + ",\"a\":" + hash(a, 4) + "},\"f16\":" + f16 + "}";
  }

  /** The hash of a factor as f16, or null for a sum of which a weight would be infinite (8.8.4, 8.9.3). */
  private static String f16(boolean sum, float[] weights) {
    for (float weight : weights) if (sum && Math.abs(weight) >= 65520) return "null";
    return hash(weights, 2);
  }

  private static String hash(float[] weights, int size) {
    ByteBuffer piece = ByteBuffer.allocate(65536).order(ByteOrder.LITTLE_ENDIAN);
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (int i = 0; i < weights.length; i++) {
        if (size == 4) piece.putFloat(weights[i]);
        else piece.putShort(LqaDecoder.toF16(weights[i]));
        if (piece.hasRemaining() && i < weights.length - 1) continue;
        digest.update(piece.array(), 0, piece.position());
        piece.clear();
      }
      return quoted(HexFormat.of().formatHex(digest.digest()));
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String text(String line, String key) {
    return find(line, "\"" + key + "\":\"([^\"]*)\"");
  }

  private static String find(String line, String pattern) {
    Matcher matcher = Pattern.compile(pattern).matcher(line);
    return matcher.find() ? matcher.group(1) : null;
  }

  private static String quoted(String text) {
    StringBuilder to = new StringBuilder("\"");
    text.chars().forEach(c -> to.append(c >= 0x20 && c < 0x7F && c != '"' && c != '\\' ? String.valueOf((char) c) : String.format("\\u%04x", c)));
    return to.append('"').toString();
  }
}
