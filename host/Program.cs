using Mesh.Host;

return await HostCommand.RunAsync(args);
