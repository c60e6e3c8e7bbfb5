// @head

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A binarized neural network. All methods are static and may be called by many threads at once.
 *
 * <p>A raw row has one float for each column (an array column has several), in the order of COLUMNS:
 * numbers as they are, categories as their codes (see categories; -1 for any other value), NaN
 * where the value is missing. Points are whole numbers and exact; answers are the reference's, bit
 * for bit.
 */
public final class Net {
    // <data>
    /** Identifies the model: SHA-256 of all that it computes. */
    public static final String ID = "";
    /** Numbers of a raw row. */
    public static final int N_COLUMNS = 1;
    /** Whole numbers that the answers are made of. */
    public static final int N_POINTS = 1;
    /** Answers: probabilities of the classes, or values. */
    public static final int N_ANSWERS = 2;
    /** Names of the columns. */
    public static final List<String> COLUMNS = List.of();
    /** Labels of the classes, in the order of the answers; empty for a regressor. */
    public static final List<Object> CLASSES = List.of();
    /** What each column holds: n a number, c a category, a an array. */
    private static final String KINDS = "";
    private static final int[] SIZES = {};
    private static final List<List<Object>> CATEGORIES = List.of();
    private static final double[] SCALE = {};
    private static final double[] OFFSET = {};
    private static final int[] KNOTS = {};
    private static final float[] VALUES = {};
    private static final float[][] GOLDEN_ROWS = {};
    private static final float[][] GOLDEN_ANSWERS = {};
    // </data>

    private static final int MISSING = Integer.MIN_VALUE;
    private static final List<Map<Object, Integer>> CODES = new ArrayList<>();

    static {
        for (List<Object> values : CATEGORIES) {
            Map<Object, Integer> codes = new HashMap<>();
            for (int i = 0; i < values.size(); i++) {
                codes.put(values.get(i), i);
            }
            CODES.add(codes);
        }
    }

    private Net() {}

    /** Returns the points of a raw row. */
    public static int[] points(float[] row) {
        if (row.length != N_COLUMNS) {
            throw new IllegalArgumentException(
                    "a row of " + N_COLUMNS + " numbers expected, got " + row.length);
        }
        // <steps>
        return new int[N_POINTS];
        // </steps>
    }

    /** Returns the answers for a raw row. */
    public static float[] answers(float[] row) {
        return link(points(row));
    }

    /** Returns the position of the largest answer, the first of equals. */
    public static int classOf(float[] row) {
        float[] answers = answers(row);
        int best = 0;
        for (int c = 1; c < answers.length; c++) {
            best = answers[c] > answers[best] ? c : best;
        }
        return best;
    }

    /**
     * Returns the answers for values by the names of their columns.
     *
     * @param named every name of COLUMNS, with a Number, or a category as text or whole number, or for
     *     an array a float[], double[] or List of numbers; null is missing. Further names are ignored.
     */
    public static float[] predict(Map<String, ?> named) {
        return answers(row(named));
    }

    /** Returns the raw row for values by the names of their columns; see predict. */
    public static float[] row(Map<String, ?> named) {
        float[] row = new float[N_COLUMNS];
        int at = 0;
        for (int j = 0; j < COLUMNS.size(); j++) {
            String name = COLUMNS.get(j);
            if (!named.containsKey(name)) {
                throw new IllegalArgumentException("column '" + name + "' is not there");
            }
            Object value = named.get(name);
            if (KINDS.charAt(j) == 'a') {
                putArray(row, at, SIZES[j], name, value);
            } else {
                row[at] = KINDS.charAt(j) == 'n' ? number(name, value) : code(j, value);
            }
            at += SIZES[j];
        }
        return row;
    }

    /** Returns the known values of a column, each a String or a Long; their positions are the codes. */
    public static List<Object> categories(int column) {
        return Collections.unmodifiableList(CATEGORIES.get(column));
    }

    private static void putArray(float[] row, int at, int size, String name, Object value) {
        if (value == null) {
            Arrays.fill(row, at, at + size, Float.NaN);
            return;
        }
        int given = value instanceof List ? ((List<?>) value).size() : lengthOf(value);
        if (given != size) {
            throw new IllegalArgumentException(
                    "column '" + name + "': " + size + " numbers expected, got "
                            + (given < 0 ? value.getClass().getName() : String.valueOf(given)));
        }
        for (int i = 0; i < size; i++) {
            row[at + i] = number(name, elementOf(value, i));
        }
    }

    private static int lengthOf(Object array) {
        boolean isKnown = array instanceof float[] || array instanceof double[];
        return isKnown ? java.lang.reflect.Array.getLength(array) : -1;
    }

    private static Object elementOf(Object array, int i) {
        return array instanceof List ? ((List<?>) array).get(i) : java.lang.reflect.Array.get(array, i);
    }

    private static float number(String name, Object value) {
        if (value == null) {
            return Float.NaN;
        }
        if (value instanceof Boolean) {
            return (Boolean) value ? 1 : 0;
        }
        if (!(value instanceof Number)) {
            throw new IllegalArgumentException(
                    "column '" + name + "': a number expected, got " + value.getClass().getName());
        }
        return ((Number) value).floatValue();
    }

    private static float code(int column, Object value) {
        if (value == null || value instanceof Number && Double.isNaN(((Number) value).doubleValue())) {
            return Float.NaN;
        }
        Object known = value;
        if (value instanceof Number) {
            long whole = ((Number) value).longValue();
            boolean isWhole = value instanceof Long || value instanceof Integer
                    || value instanceof Short || value instanceof Byte
                    || whole == ((Number) value).doubleValue() && whole != Long.MAX_VALUE;
            known = isWhole ? (Object) whole : value;
        }
        return CODES.get(column).getOrDefault(known, -1);
    }

    /** Returns how many golden rows give other answers than they should: 0 is well. */
    public static int selfTest() {
        int wrong = 0;
        for (int i = 0; i < GOLDEN_ROWS.length; i++) {
            wrong += Arrays.equals(answers(GOLDEN_ROWS[i]), GOLDEN_ANSWERS[i]) ? 0 : 1;
        }
        return wrong;
    }

    /**
     * Reads raw rows from standard input, one a line, numbers parted by commas (nothing is missing);
     * prints points, a semicolon and answers for each. With the word "selftest": runs the self-test.
     */
    public static void main(String[] words) throws IOException {
        if (words.length == 1 && words[0].equals("selftest")) {
            int wrong = selfTest();
            System.out.println(wrong + " of " + GOLDEN_ROWS.length + " golden rows are wrong");
            System.exit(wrong == 0 ? 0 : 1);
        }
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, "US-ASCII");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            float[] row = parsed(line);
            int[] points = points(row);
            out.println(joined(Arrays.toString(points)) + ";" + joined(Arrays.toString(link(points))));
        }
        out.flush();
    }

    private static float[] parsed(String line) {
        String[] parts = line.split(",", -1);
        float[] row = new float[parts.length];
        for (int i = 0; i < row.length; i++) {
            row[i] = parts[i].isBlank() ? Float.NaN : Float.parseFloat(parts[i]);
        }
        return row;
    }

    private static String joined(String shown) {
        return shown.substring(1, shown.length() - 1).replace(" ", "");
    }

    // Tests of the raw row. A float32 read as a whole number keeps its order once the lower 31 bits
    // of the negative ones are turned over; -0 becomes 0, and NaN the lowest number of all.

    private static int[] keys(float[] row) {
        int[] keys = new int[row.length];
        for (int j = 0; j < keys.length; j++) {
            int raw = Float.floatToRawIntBits(row[j] + 0.0f);
            keys[j] = Float.isNaN(row[j]) ? MISSING : raw < 0 ? raw ^ Integer.MAX_VALUE : raw;
        }
        return keys;
    }

    /** Bit i asks of column[i]: at least value[i] (kind 0), equal to it (1), missing (2)? */
    private static long[] encode(
            int[] keys, int[] column, byte[] kind, int[] value, int[] specialColumn, int[] special) {
        int[] regular = specialColumn.length == 0 ? keys : keys.clone();
        for (int i = 0; i < specialColumn.length; i++) {
            if (keys[specialColumn[i]] == special[i]) {
                regular[specialColumn[i]] = MISSING;
            }
        }
        long[] bits = new long[(column.length + 63) / 64];
        for (int i = 0; i < column.length; i++) {
            int key = keys[column[i]];
            boolean holds = kind[i] == 0
                    ? regular[column[i]] >= value[i]
                    : key == (kind[i] == 1 ? value[i] : MISSING);
            bits[i >> 6] |= holds ? 1L << i : 0;
        }
        return bits;
    }

    // <dense>
    /** Neuron o fires when its bits of the input differ from weights[o] in at most thresholds[o]. */
    private static long[] dense(long[] in, int nIn, int groups, long[] weights, int[] thresholds) {
        int perGroup = thresholds.length / groups;
        int k = nIn / groups;
        int words = (k + 63) / 64;
        long[] bits = new long[(thresholds.length + 63) / 64];
        for (int g = 0; g < groups; g++) {
            long[] seen = groups == 1 ? in : slice(in, g * k, k);
            for (int o = g * perGroup; o < (g + 1) * perGroup; o++) {
                int differ = 0;
                for (int w = 0; w < words; w++) {
                    differ += Long.bitCount(seen[w] ^ weights[o * words + w]);
                }
                bits[o >> 6] |= differ <= thresholds[o] ? 1L << o : 0;
            }
        }
        return bits;
    }

    private static long[] slice(long[] bits, int start, int n) {
        long[] cut = new long[(n + 63) / 64];
        for (int i = 0; i < n; i++) {
            cut[i >> 6] |= (bits[(start + i) >> 6] >>> (start + i) & 1) << i;
        }
        return cut;
    }
    // </dense>

    // <rules>
    /** Rule o holds when all of its next fanIn[o] literals do: 2 * bit, and 1 more for "not". */
    private static long[] rules(long[] in, int[] literals, byte[] fanIn) {
        long[] bits = new long[(fanIn.length + 63) / 64];
        int at = 0;
        for (int o = 0; o < fanIn.length; o++) {
            boolean holds = true;
            for (int end = at + (fanIn[o] & 0xFF); at < end; at++) {
                int bit = literals[at] >> 1;
                holds &= (in[bit >> 6] >>> bit & 1) != (literals[at] & 1);
            }
            bits[o >> 6] |= holds ? 1L << o : 0;
        }
        return bits;
    }
    // </rules>

    // <lut>
    /** Bit o is that bit of its table whose number its fanIn bits of the input spell, lowest first. */
    private static long[] lut(long[] in, int fanIn, int[] places, byte[] tables) {
        int n = places.length / fanIn;
        int bytes = tables.length / n;
        long[] bits = new long[(n + 63) / 64];
        for (int o = 0; o < n; o++) {
            int address = 0;
            for (int j = 0; j < fanIn; j++) {
                int bit = places[o * fanIn + j];
                address |= (int) (in[bit >> 6] >>> bit & 1) << j;
            }
            bits[o >> 6] |= (long) (tables[o * bytes + (address >> 3)] >> (address & 7) & 1) << o;
        }
        return bits;
    }
    // </lut>

    // <rowthreshold>
    /** In each run of n, what stands out by top / bottom of its standard deviations; no rounding. */
    private static long[] rowThreshold(int[] in, int n, int top, int bottom) {
        int most = Integer.MAX_VALUE / n;
        long[] bits = new long[(in.length + 63) / 64];
        for (int start = 0; start < in.length; start += n) {
            long sum = 0;
            long squares = 0;
            for (int i = start; i < start + n; i++) {
                long x = Math.max(-most, Math.min(most, in[i]));
                sum += x;
                squares += x * x;
            }
            long spread = n * squares - sum * sum;
            for (int i = start; i < start + n; i++) {
                long stands = n * (long) Math.max(-most, Math.min(most, in[i])) - sum;
                boolean fires = stands >= 0
                        && (top == 0 || spread > 0 && reaches(bottom * stands, top * top, spread));
                bits[i >> 6] |= fires ? 1L << i : 0;
            }
        }
        return bits;
    }

    /** Tells whether a * a >= b * c, in 128 bits. */
    private static boolean reaches(long a, long b, long c) {
        long high = Math.multiplyHigh(a, a);
        long other = Math.multiplyHigh(b, c);
        return high != other ? high > other : Long.compareUnsigned(a * a, b * c) >= 0;
    }
    // </rowthreshold>

    /** Adds the weights of all bits that are set, output by output: weights[bit * outputs + c]. */
    private static int[] readout(int[] bias, int[] weights, int[] sizes, long[]... inputs) {
        int[] points = bias.clone();
        int first = 0;
        for (int v = 0; v < inputs.length; v++) {
            for (int w = 0; w < inputs[v].length; w++) {
                for (long rest = inputs[v][w]; rest != 0; rest &= rest - 1) {
                    int at = (first + 64 * w + Long.numberOfTrailingZeros(rest)) * bias.length;
                    for (int c = 0; c < bias.length; c++) {
                        points[c] += weights[at + c];
                    }
                }
            }
            first += sizes[v];
        }
        return points;
    }

    // From points to answers: doubles, each operation rounded by itself (Java never fuses two).

    private static float[] link(int[] points) {
        // <link>
        return identity(points);
        // </link>
    }

    // <identity>
    private static float[] identity(int[] points) {
        float[] answers = new float[points.length];
        for (int c = 0; c < points.length; c++) {
            double scaled = SCALE[c] * points[c];
            answers[c] = (float) (OFFSET[c] + scaled);
        }
        return answers;
    }
    // </identity>

    // <sigmoid>
    private static float[] sigmoid(int[] points) {
        double scaled = SCALE[0] * points[0];
        double z = OFFSET[0] + scaled;
        double e = exp(-Math.abs(z));
        double large = 1.0 / (1.0 + e);
        double small = e / (1.0 + e);
        return new float[] {(float) (z >= 0 ? small : large), (float) (z >= 0 ? large : small)};
    }
    // </sigmoid>

    // <softmax>
    private static float[] softmax(int[] points) {
        double[] z = new double[points.length];
        double top = Double.NEGATIVE_INFINITY;
        for (int c = 0; c < z.length; c++) {
            double scaled = SCALE[c] * points[c];
            z[c] = OFFSET[c] + scaled;
            top = Math.max(top, z[c]);
        }
        double total = 0;
        for (int c = 0; c < z.length; c++) {
            z[c] = exp(z[c] - top);
            total += z[c];
        }
        float[] answers = new float[z.length];
        for (int c = 0; c < z.length; c++) {
            answers[c] = (float) (z[c] / total);
        }
        return answers;
    }
    // </softmax>

    // <table>
    private static float[] staircase(int[] points) {
        int step = Arrays.binarySearch(KNOTS, points[0]);
        float p = VALUES[step < 0 ? -step - 1 : step + 1];
        return new float[] {1.0f - p, p};
    }
    // </table>

    // <exp>
    private static final double[] TERMS = {
        0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26, 0x1.27e4fb7789f5cp-22,
        0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10,
        0x1.1111111111111p-7, 0x1.5555555555555p-5, 0x1.5555555555555p-3, 0x1p-1, 0x1p0, 0x1p0
    };

    /** Returns e to the power of x for x up to 0, by steps that every engine shares. */
    private static double exp(double x) {
        double clipped = Math.max(x, -700.0);
        double k = Math.floor(clipped * 0x1.71547652b82fep+0 + 0.5);
        double r = clipped - k * 0x1.62e42fee00000p-1;
        r = r - k * 0x1.a39ef35793c76p-33;
        double p = TERMS[0];
        for (int i = 1; i < TERMS.length; i++) {
            p = p * r + TERMS[i];
        }
        return p * Double.longBitsToDouble((long) (k + 1023) << 52);
    }
    // </exp>

    // Arrays as text: Base64 of little-endian numbers, in pieces, as a constant holds 65,535 bytes.

    private static ByteBuffer decoded(String... pieces) {
        byte[] bytes = Base64.getDecoder().decode(String.join("", pieces));
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] bytes(String... pieces) {
        return decoded(pieces).array();
    }

    /** Each number has `width` bytes: 1, 2 or 4. */
    private static int[] ints(int width, String... pieces) {
        ByteBuffer from = decoded(pieces);
        int[] to = new int[from.remaining() / width];
        for (int i = 0; i < to.length; i++) {
            to[i] = width == 1 ? from.get() : width == 2 ? from.getShort() : from.getInt();
        }
        return to;
    }

    private static long[] longs(String... pieces) {
        ByteBuffer from = decoded(pieces);
        long[] to = new long[from.remaining() / 8];
        from.asLongBuffer().get(to);
        return to;
    }

    private static float[][] rows(int n, String... pieces) {
        ByteBuffer from = decoded(pieces);
        float[][] to = new float[from.remaining() / 4 / n][n];
        for (float[] row : to) {
            for (int i = 0; i < n; i++) {
                row[i] = from.getFloat();
            }
        }
        return to;
    }
}
