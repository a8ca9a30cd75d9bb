using System.Buffers;
using System.IO.MemoryMappedFiles;

namespace Mesh.Numerics;

/// <summary>
/// A file's pages as memory, read-only. The file must not be made shorter meanwhile: reading past its end then ends the process. Map
/// only what is renamed into place and never written again; a deleted file stays readable through its mapping.
/// </summary>
public sealed unsafe class MappedFile : MemoryManager<byte>
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private readonly int _length;
    private int _closed;

    private MappedFile(FileStream stream, int length)
    {
        _length = length;
        _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = _file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _start = start + _view.PointerOffset;
    }

    /// <summary>Maps a file that is not empty.</summary>
    /// <exception cref="IOException">The file is empty, over 2 GiB, or cannot be opened.</exception>
    public static MappedFile Open(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
        try
        {
            if (stream.Length is 0 or > int.MaxValue) throw new IOException($"{path} has {stream.Length} bytes; 1 to {int.MaxValue} can be mapped.");
            return new MappedFile(stream, (int)stream.Length);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    // SAFETY: the view is _length bytes long and mapped until Dispose.
    public override Span<byte> GetSpan()
    {
        ObjectDisposedException.ThrowIf(_closed != 0, this);
        return new Span<byte>(_start, _length);
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_length);
        return new MemoryHandle(_start + elementIndex);
    }

    public override void Unpin()
    {
        // Pages do not move.
    }

    protected override void Dispose(bool disposing)
    {
        if (!disposing || Interlocked.Exchange(ref _closed, 1) != 0) return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
