using Mesh.Simulator;

return await SimulatorCommand.RunAsync(args);
