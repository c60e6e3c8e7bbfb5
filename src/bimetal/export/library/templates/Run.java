// Java 22 or newer: the foreign function interface. java Run.java LIBRARY NAME; rows.f32 in, points.i32
// and answers.f32 out.
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

public class Run {
    private static SymbolLookup library;
    private static String name;

    private static MethodHandle function(String what, FunctionDescriptor type) {
        MemorySegment found = library.find(name + "_" + what).orElseThrow();
        return Linker.nativeLinker().downcallHandle(found, type);
    }

    private static int number(String what) throws Throwable {
        return (int) function(what, FunctionDescriptor.of(JAVA_INT)).invoke();
    }

    public static void main(String[] arguments) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            library = SymbolLookup.libraryLookup(Path.of(arguments[0]).toAbsolutePath(), arena);
            name = arguments[1];
            byte[] data = Files.readAllBytes(Path.of("rows.f32"));
            MemorySegment rows = arena.allocate(Math.max(data.length, 1), 4);
            MemorySegment.copy(data, 0, rows, JAVA_BYTE, 0, data.length);
            long n = data.length / 4 / number("n_columns");
            MemorySegment points = arena.allocate(4 * n * number("n_points"), 4);
            MemorySegment answers = arena.allocate(4 * n * number("n_answers"), 4);
            FunctionDescriptor many = FunctionDescriptor.ofVoid(ADDRESS, JAVA_LONG, ADDRESS);
            function("points_many", many).invoke(rows, n, points);
            function("answers_many", many).invoke(rows, n, answers);
            Files.write(Path.of("points.i32"), points.toArray(JAVA_BYTE));
            Files.write(Path.of("answers.f32"), answers.toArray(JAVA_BYTE));
            MemorySegment id = (MemorySegment) function("id", FunctionDescriptor.of(ADDRESS)).invoke();
            Files.writeString(Path.of("said.txt"), id.reinterpret(65).getString(0) + " " + number("selftest"));
        }
    }
}
