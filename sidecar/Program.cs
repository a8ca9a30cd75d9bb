using Mesh.Sidecar.Command;

return await SidecarCommand.RunAsync(args, Environment.GetEnvironmentVariable, Console.Out, Console.Error);
