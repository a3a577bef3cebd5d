import { type Command, Option } from 'commander';
import { type CreateOptions, createModelFile } from '../../server/operations/create';
import { SurgeryError } from '../../graph/errors';
import { runCommand } from '../io';
import { type JsonOption, addJson, integer, nonNegative, positiveInteger, sizeList } from '../options';
import { formatCount } from '../table';

/** The other settings of BT-RNN's experiments are what options stand at by themselves. */
const RECIPE_DROPOUT = 0.25;

export function defineCreate(program: Command): void {
  const command = program
    .command('create <architecture>')
    .description(
      'a fresh network: resnet20|32|56|110|18|34|50|101|152, wrn-28-10, vgg16-bn, alexnet, mobilenet-v2, small-cnn, mlp, vit-tiny, lstm, gru, rnn, and bt- or tt- before a recurrent one',
    )
    .requiredOption('-o, --output <file>', 'where the model goes')
    .option('--input <sizes>', 'channels, height and width (steps and features of recurrent networks)', sizeList, [3, 32, 32])
    .option('--classes <count>', 'number of classes', positiveInteger, 10)
    .addOption(new Option('--shortcut <kind>', 'shortcut of the ResNets of CIFAR').choices(['pad', 'conv']).default('pad'))
    .option('--hidden <count>', 'hidden units of recurrent networks (default: 256)', positiveInteger)
    .option('--lengths', 'a recurrent network that takes the lengths of its sequences')
    .option('--input-modes <sizes>', 'factors of the features of bt- and tt- networks (default: balanced)', sizeList)
    .option('--output-modes <sizes>', 'factors of their hidden units (default: balanced)', sizeList)
    .option('--rank <count>', 'rank of their cores', positiveInteger, 4)
    .option('--blocks <count>', 'blocks of bt- networks', positiveInteger, 2)
    .option('--gain <factor>', "deviation of their input matrix at the start, in units of Glorot's", nonNegative, 1)
    .addOption(
      new Option(
        '--recipe <name>',
        'settings of BT-RNN on UCF11 where options are not given: 256 units, rank 4, 2 blocks, dropout 0.25',
      ).choices(['bt-rnn']),
    )
    .option('--dropout <fraction>', 'dropout of recurrent networks on features and last state', nonNegative, 0)
    .option('--seed <number>', 'seed of the initial weights', integer, 1);
  addJson(command).action((architecture: string, given: JsonOption & { output: string; recipe?: string } & CreateOptions) =>
    runCommand(given, async () => {
      const dropout = given.recipe && command.getOptionValueSource('dropout') === 'default' ? RECIPE_DROPOUT : given.dropout;
      const options = { ...given, dropout };
      if (options.input.length < 1) throw new SurgeryError('option-invalid', '--input needs sizes such as 3,32,32');
      const result = await createModelFile(architecture, options.output, options);
      return {
        document: result,
        text: `Wrote ${options.output}: ${formatCount(result.parameters)} parameters, ${formatCount(result.macs)} MACs a sample`,
      };
    }),
  );
}
