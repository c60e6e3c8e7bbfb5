// C#: P/Invoke. Rows of rows.f32 in, points.i32 and answers.f32 out.
using System;
using System.IO;
using System.Runtime.InteropServices;

static class Run
{
    const string Library = "LIBRARY_PATH";

    [DllImport(Library)] static extern int model_n_columns();
    [DllImport(Library)] static extern int model_n_points();
    [DllImport(Library)] static extern int model_n_answers();
    [DllImport(Library)] static extern int model_selftest();
    [DllImport(Library)] static extern IntPtr model_id();
    [DllImport(Library)] static extern void model_points_many(float[] rows, UIntPtr n, [Out] int[] points);
    [DllImport(Library)] static extern void model_answers_many(float[] rows, UIntPtr n, [Out] float[] answers);

    static void Main()
    {
        byte[] data = File.ReadAllBytes("rows.f32");
        float[] rows = new float[data.Length / 4];
        Buffer.BlockCopy(data, 0, rows, 0, data.Length);
        int n = rows.Length / model_n_columns();
        int[] points = new int[n * model_n_points()];
        float[] answers = new float[n * model_n_answers()];
        model_points_many(rows, (UIntPtr)n, points);
        model_answers_many(rows, (UIntPtr)n, answers);
        Write("points.i32", points);
        Write("answers.f32", answers);
        File.WriteAllText("said.txt", Marshal.PtrToStringAnsi(model_id()) + " " + model_selftest());
    }

    static void Write(string path, Array numbers)
    {
        byte[] data = new byte[4 * numbers.Length];
        Buffer.BlockCopy(numbers, 0, data, 0, data.Length);
        File.WriteAllBytes(path, data);
    }
}
